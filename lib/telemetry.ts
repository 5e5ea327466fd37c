import type { Unsubscribe } from './interface/lifecycle.ts'
import type {
  GaugeLabels,
  GaugeName,
  GaugeReading,
  Telemetry,
  TelemetryEvent,
  TelemetrySource,
} from './interface/telemetry.ts'

/** The one stream of a site: parts write to it, logs, metrics and the console read it. Keeps no history. */
export class TelemetryHub implements Telemetry, TelemetrySource {
  readonly #listeners = new Set<(event: TelemetryEvent, atMs: number) => void>()
  readonly #gauges = new Map<string, GaugeReading>()
  readonly #now: () => number

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now
  }

  emit(event: TelemetryEvent): void {
    const atMs = this.#now()
    for (const listener of this.#listeners) {
      try {
        listener(event, atMs)
      } catch {
        // A reader that fails must not fail the layer that reports.
      }
    }
  }

  gauge<N extends GaugeName>(name: N, labels: GaugeLabels[N], value: number): void {
    this.#gauges.set(`${name} ${JSON.stringify(labels)}`, { name, labels: labels as Record<string, string>, value })
  }

  subscribe(listener: (event: TelemetryEvent, atMs: number) => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readings(): GaugeReading[] {
    return [...this.#gauges.values()]
  }
}
