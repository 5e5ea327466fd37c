/** Media type of OpenMetrics text 1.0. */
export const OPEN_METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

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
  readonly samples: readonly Sample[]
}

/** The families as OpenMetrics text, which Prometheus reads. Values that are no numbers are left out. */
export function formatOpenMetrics(families: readonly MetricFamily[]): string {
  const lines = families.flatMap(({ name, type, help, samples }) => [
    `# TYPE ${name} ${type}`,
    `# HELP ${name} ${escapeHelp(help)}`,
    ...samples
      .filter(({ value }) => !Number.isNaN(value))
      .map(
        ({ labels, value }) =>
          `${name}${type === 'counter' ? '_total' : ''}${formatLabels(labels)} ${formatValue(value)}`,
      ),
  ])
  return `${lines.join('\n')}${lines.length === 0 ? '' : '\n'}# EOF\n`
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
