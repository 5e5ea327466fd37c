import type { Unsubscribe } from '../interface/lifecycle.ts'
import type { GaugeReading, TelemetrySource } from '../interface/telemetry.ts'
import { EventCounters } from './event-counters.ts'
import { gaugeHelp } from './gauge-help.ts'
import { formatOpenMetrics, type MetricFamily } from './open-metrics.ts'

/** The telemetry of a site as OpenMetrics text: counters from now on, gauges as they stand. */
export class SiteMetrics implements Disposable {
  readonly #source: TelemetrySource
  readonly #counters = new EventCounters()
  readonly #unsubscribe: Unsubscribe
  readonly #labels: Readonly<Record<string, string>>

  constructor(source: TelemetrySource, { siteId }: { siteId: string }) {
    this.#source = source
    this.#labels = { site: siteId }
    this.#unsubscribe = source.subscribe(event => this.#counters.count(event))
  }

  /** The whole page. */
  text(): string {
    const families = [...gaugeFamilies(this.#source.readings()), ...this.#counters.families()]
    return formatOpenMetrics(
      families.map(family => ({
        ...family,
        samples: family.samples.map(({ labels, value }) => ({ labels: { ...this.#labels, ...labels }, value })),
      })),
    )
  }

  [Symbol.dispose](): void {
    this.#unsubscribe()
  }
}

function gaugeFamilies(readings: readonly GaugeReading[]): MetricFamily[] {
  return [...groupByName(readings)].map(([name, alike]) => ({
    name: `qkd_${name}`,
    type: 'gauge',
    help: gaugeHelp[name],
    samples: alike.map(({ labels, value }) => ({ labels, value })),
  }))
}

function groupByName(readings: readonly GaugeReading[]): Map<GaugeReading['name'], GaugeReading[]> {
  const groups = new Map<GaugeReading['name'], GaugeReading[]>()
  for (const reading of readings) groups.set(reading.name, [...(groups.get(reading.name) ?? []), reading])
  return groups
}
