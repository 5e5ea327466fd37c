import type { Alarm } from '../interface/alarm.ts'
import type { Unsubscribe } from '../interface/lifecycle.ts'
import type { GaugeReading, TelemetrySource } from '../interface/telemetry.ts'
import { EventCounters } from './event-counters.ts'
import { gaugeTable } from './gauge-table.ts'
import { formatMetrics, type MetricFamily, type MetricsFormat } from './open-metrics.ts'

/** The telemetry of a site, or of an agent, as a page of metrics: counters from now on, gauges as they stand. */
export class SiteMetrics implements Disposable {
  readonly #source: TelemetrySource
  readonly #counters = new EventCounters()
  readonly #unsubscribe: Unsubscribe
  readonly #labels: Readonly<Record<string, string>>
  readonly #alarms: () => readonly Alarm[]

  /** `labels` stand before those of each sample: whose metrics these are. */
  constructor(
    source: TelemetrySource,
    labels: Readonly<Record<string, string>>,
    { alarms = () => [] }: { readonly alarms?: () => readonly Alarm[] } = {},
  ) {
    this.#alarms = alarms
    this.#source = source
    this.#labels = labels
    this.#unsubscribe = source.subscribe(event => this.#counters.count(event))
  }

  /** The whole page. */
  text(format: MetricsFormat = 'openmetrics'): string {
    const gauges = gaugeFamilies(this.#source.readings())
    const families = [...gauges, ...this.#counters.families(), alarmFamily(this.#alarms())]
    return formatMetrics(
      families.map(family => ({
        ...family,
        samples: family.samples.map(({ labels, value }) => ({ labels: { ...this.#labels, ...labels }, value })),
      })),
      format,
    )
  }

  [Symbol.dispose](): void {
    this.#unsubscribe()
  }
}

function gaugeFamilies(readings: readonly GaugeReading[]): MetricFamily[] {
  return [...groupByName(readings)].map(([gauge, alike]) => {
    const { scale, ...family } = gaugeTable[gauge]
    return {
      ...family,
      type: 'gauge',
      samples: alike.map(({ labels, value }) => ({ labels, value: scaled(value, scale) })),
    }
  })
}

function alarmFamily(alarms: readonly Alarm[]): MetricFamily {
  const standing = alarms.filter(({ state }) => state !== 'cleared')
  const samples = standing.map(({ id, severity, state }) => ({ labels: { id, severity, state }, value: 1 }))
  return {
    name: 'qkd_alarm_state',
    type: 'gauge',
    help: 'Alarms that stand, and whether anybody sees to them',
    samples,
  }
}

/** Without the digits that a product of two binary numbers adds. */
function scaled(value: number, scale: number): number {
  return scale === 1 || !Number.isFinite(value) ? value : Number((value * scale).toPrecision(15))
}

function groupByName(readings: readonly GaugeReading[]): Map<GaugeReading['name'], GaugeReading[]> {
  const groups = new Map<GaugeReading['name'], GaugeReading[]>()
  for (const reading of readings) groups.set(reading.name, [...(groups.get(reading.name) ?? []), reading])
  return groups
}
