import type { AbortOptions, Closable } from './lifecycle.ts'
import type { OperatorIdentity } from './operator.ts'
import type { AlarmSeverity, AlarmState } from './telemetry.ts'

/** Names of the conditions that gauges are watched for. */
export type ConditionName =
  | 'pool-low'
  | 'link-down'
  | 'link-qber-high'
  | 'store-asynchronous'
  | 'audit-blocked'
  | 'clock-skew'
  | 'certificate-expiring'
  | 'kvno-near-end'
  | 'rotation-failing'

/** An alarm as the people who look after a site see it. Times are wall clock, in milliseconds. */
export interface Alarm {
  readonly id: string
  readonly severity: AlarmSeverity
  readonly state: AlarmState
  readonly text: string
  readonly raisedAtMs: number
  /** When it came into the state that it is in. */
  readonly changedAtMs: number
  /** How often its cause has come since it was raised: more than once where it comes and goes. */
  readonly times: number
  /** Name of who acknowledged it, when, and what they said to it. */
  readonly acknowledged?: { readonly by: string; readonly atMs: number; readonly note?: string }
}

/** What a sink is told: an alarm that has come into another state. */
export interface AlarmNotice extends Alarm {
  readonly siteId: string
}

/** A way on which alarms leave the site. */
export interface AlarmSink extends Closable {
  readonly name: string
  /** One try. Whoever calls it sees to order, repetition and time. */
  deliver(notice: AlarmNotice, options: Required<AbortOptions>): Promise<void>
}

/** Alarms as operators get at them. */
export interface Alarms {
  /** Those that stand first, the worst and newest before others; then those that were cleared last. */
  list(): readonly Alarm[]
  /**
   * Notes that somebody sees to it, durably.
   * @throws {InvalidArgumentError} no such alarm stands
   * @throws {StoreError} it can't be kept
   */
  acknowledge(id: string, by: OperatorIdentity, options?: { readonly note?: string }): Promise<Alarm>
}
