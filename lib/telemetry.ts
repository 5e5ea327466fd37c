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

  /** Takes a gauge back: whoever set it knows no more. */
  forget<N extends GaugeName>(name: N, labels: GaugeLabels[N]): void {
    this.#gauges.delete(`${name} ${JSON.stringify(labels)}`)
  }

  subscribe(listener: (event: TelemetryEvent, atMs: number) => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readings(): GaugeReading[] {
    return [...this.#gauges.values()]
  }
}

type Alarm = Extract<TelemetryEvent, { type: 'alarm' }>

/** The stream as a part of a site writes to it that may end before the site does. */
export class PartTelemetry implements Telemetry, TelemetrySource {
  readonly #hub: TelemetryHub
  readonly #gauges = new Map<string, () => void>()
  readonly #alarms = new Map<string, Alarm>()
  #isOver = false

  constructor(hub: TelemetryHub) {
    this.#hub = hub
  }

  emit(event: TelemetryEvent): void {
    if (event.type === 'alarm') {
      if (this.#isOver) return
      if (event.state === 'raised') this.#alarms.set(event.id, event)
      else this.#alarms.delete(event.id)
    }
    this.#hub.emit(event)
  }

  gauge<N extends GaugeName>(name: N, labels: GaugeLabels[N], value: number): void {
    if (this.#isOver) return
    this.#gauges.set(`${name} ${JSON.stringify(labels)}`, () => this.#hub.forget(name, labels))
    this.#hub.gauge(name, labels, value)
  }

  subscribe(listener: (event: TelemetryEvent, atMs: number) => void): Unsubscribe {
    return this.#hub.subscribe(listener)
  }

  readings(): GaugeReading[] {
    return this.#hub.readings()
  }

  /** The part has ended: takes its gauges back and clears its alarms, and what it still says of either is lost. */
  withdraw(text: string): void {
    this.#isOver = true
    for (const forget of this.#gauges.values()) forget()
    this.#gauges.clear()
    for (const alarm of this.#alarms.values()) this.#hub.emit({ ...alarm, state: 'cleared', text })
    this.#alarms.clear()
  }
}
