/** Media type of OpenMetrics text 1.0. */
export const OPEN_METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

/** Media type of the older text format of Prometheus, which its tools check. */
export const PLAIN_METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** The formats that a page of metrics comes in. */
export type MetricsFormat = 'openmetrics' | 'plain'

/** What whoever asks can read (the header `Accept`): OpenMetrics unless plain text is all that is named. */
export function formatFor(accept: string | undefined): MetricsFormat {
  const isPlain = accept?.includes('text/plain') === true && !accept.includes('openmetrics')
  return isPlain ? 'plain' : 'openmetrics'
}

/** One value of a family. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Metrics of one name. A counter's name goes without `_total`; units stand in the name. */
export interface MetricFamily {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  /** Where it has one: the end of the name. */
  readonly unit?: string | undefined
  readonly samples: readonly Sample[]
}

/** The families as text that Prometheus reads. Values that are no numbers are left out. */
export function formatMetrics(families: readonly MetricFamily[], format: MetricsFormat = 'openmetrics'): string {
  const isOpen = format === 'openmetrics'
  const lines = families.flatMap(({ name, type, help, unit, samples }) => {
    const total = type === 'counter' ? `${name}_total` : name
    // The older format has no units, and knows a counter by the name that its samples have.
    const family = isOpen ? name : total
    return [
      `# TYPE ${family} ${type}`,
      ...(isOpen && unit !== undefined ? [`# UNIT ${family} ${unit}`] : []),
      `# HELP ${family} ${isOpen ? escapeLabel(help) : escapeHelp(help)}`,
      ...samples
        .filter(({ value }) => !Number.isNaN(value))
        .map(({ labels, value }) => `${total}${formatLabels(labels)} ${formatValue(value)}`),
    ]
  })
  const end = isOpen ? ['# EOF'] : []
  return [...lines, ...end, ''].join('\n')
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function formatValue(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? '+Inf' : '-Inf'
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
