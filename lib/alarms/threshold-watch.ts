import type { ConditionName } from '../interface/alarm.ts'
import type { Closable } from '../interface/lifecycle.ts'
import type { GaugeName, GaugeReading, Telemetry, TelemetrySource } from '../interface/telemetry.ts'
import { type Condition, type ConditionLimits, conditions } from './conditions.ts'

/** Values that a gauge may have: names come from outside. */
const MAX_WATCHED = 10_000

/** Changed thresholds by condition; `false` for one that is not watched. */
export type ConditionSettings = Readonly<Partial<Record<ConditionName, false | Partial<ConditionLimits>>>>

/** What thresholds are watched with. */
export interface ThresholdWatchOptions {
  readonly telemetry: Telemetry & TelemetrySource
  readonly settings?: ConditionSettings
  /** Time between two looks, in milliseconds. Default 1,000. */
  readonly periodMs?: number
  readonly now?: () => number
  readonly monotonicMs?: () => number
}

interface Watched {
  readonly condition: Condition
  /** Condition and labels, in words. */
  readonly about: string
  raised: boolean
  /** Since when the value calls for the other state; undefined while it does not. */
  sinceMs: number | undefined
}

/** Looks at gauges from time to time, and says (`alarm`) where one is beyond its threshold for long enough, and back again. */
export class ThresholdWatch implements Closable {
  readonly #options: ThresholdWatchOptions
  readonly #conditions: readonly Condition[]
  readonly #watched = new Map<string, Watched>()
  readonly #timer: NodeJS.Timeout | undefined

  /** `periodMs` 0: looks only when it is told to. */
  constructor(options: ThresholdWatchOptions) {
    const { settings = {}, periodMs = 1_000 } = options
    this.#options = options
    this.#conditions = conditions.flatMap(condition => {
      const changed = settings[condition.name]
      return changed === false ? [] : [{ ...condition, ...changed }]
    })
    this.#timer = periodMs === 0 ? undefined : setInterval(() => this.look(), periodMs).unref()
  }

  /** Compares every gauge with its thresholds now. */
  look(): void {
    const { telemetry, now = Date.now, monotonicMs = () => performance.now() } = this.#options
    const readings = telemetry.readings()
    const byName = new Map(readings.map(reading => [keyOf(reading.name, reading.labels), reading.value]))
    const atMs = monotonicMs()
    const gone = new Map(this.#watched)
    for (const condition of this.#conditions) {
      for (const { name, labels, value: own } of readings) {
        if (name !== condition.gauge) continue
        const id = partsOf(condition, labels).join(':')
        gone.delete(id)
        const other = (gauge: GaugeName) => byName.get(keyOf(gauge, labels))
        const value = condition.value(own, other, now())
        if (value !== undefined && !Number.isNaN(value)) this.#judge(condition, { id, labels, value, atMs })
      }
    }
    for (const [id, { condition, about, raised }] of gone) {
      this.#watched.delete(id)
      if (raised) this.#say(condition, { id, state: 'cleared', text: `Nobody tells of it any more: ${about}` })
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #judge(
    condition: Condition,
    { id, labels, value, atMs }: Pick<GaugeReading, 'labels' | 'value'> & { id: string; atMs: number },
  ): void {
    const known = this.#watched.get(id)
    if (known === undefined && this.#watched.size >= MAX_WATCHED) return
    const watched: Watched = known ?? {
      condition,
      about: partsOf(condition, labels).join(', '),
      raised: false,
      sinceMs: undefined,
    }
    if (known === undefined) this.#watched.set(id, watched)
    const calls = watched.raised ? value <= condition.clear : value >= condition.raise
    if (!calls) {
      watched.sinceMs = undefined
      return
    }
    watched.sinceMs ??= atMs
    if (atMs - watched.sinceMs < (watched.raised ? condition.clearAfterMs : condition.raiseAfterMs)) return
    watched.raised = !watched.raised
    watched.sinceMs = undefined
    if (watched.raised) this.#say(condition, { id, state: 'raised', text: condition.text(labels, value) })
    else this.#say(condition, { id, state: 'cleared', text: `Over: ${watched.about}` })
  }

  #say({ severity }: Condition, said: { id: string; state: 'raised' | 'cleared'; text: string }): void {
    this.#options.telemetry.emit({ type: 'alarm', severity, ...said })
  }
}

function partsOf({ name }: Condition, labels: Readonly<Record<string, string>>): string[] {
  return [name, ...Object.values(labels)]
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  return `${name} ${JSON.stringify(labels)}`
}
