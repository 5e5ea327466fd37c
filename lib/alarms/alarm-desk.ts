import { ClosedError, InvalidArgumentError } from '../errors.ts'
import type { Alarm, Alarms } from '../interface/alarm.ts'
import type { AuditEntry, AuditLog } from '../interface/audit.ts'
import type { Closable, Unsubscribe } from '../interface/lifecycle.ts'
import type { Logger } from '../interface/logger.ts'
import type { OperatorIdentity } from '../interface/operator.ts'
import type { AlarmSeverity, Telemetry, TelemetryEvent, TelemetrySource } from '../interface/telemetry.ts'
import type { Timers } from '../util/timers.ts'
import { systemTimers } from '../util/timers.ts'
import { AlarmFile } from './alarm-file.ts'

/** Alarms that stand at the most: names come from layers, and memory must not grow with them. */
const MAX_STANDING = 1_000
/** Cleared ones that are remembered. */
const MAX_CLEARED = 200
const MAX_TEXT = 1_024
/** Worst first. */
const ORDER: readonly AlarmSeverity[] = ['critical', 'major', 'minor', 'warning']

/** What an alarm desk is made with. */
export interface AlarmDeskOptions {
  readonly telemetry: Telemetry & TelemetrySource
  /** Where alarms are kept over a restart. Default nowhere. */
  readonly file?: string | undefined
  /** Where each transition is written. Default nowhere. */
  readonly audit?: Pick<AuditLog, 'record'> | undefined
  /** How long a cause must be gone before its alarm is cleared, in milliseconds. Default 5,000. */
  readonly clearAfterMs?: number
  /** How long after a restart an alarm from before stands without its cause having come again, in milliseconds. Default 180,000. */
  readonly settleMs?: number
  readonly logger: Logger
  readonly now?: () => number
  readonly timers?: Timers
}

/** A cause that is gone, and not long enough for its alarm to be; or one that has not been seen since the restart. */
interface Waiting {
  readonly cancel: () => void
}

/**
 * Makes alarms of what the layers of a site say (`alarm` events): one that comes and goes stays one alarm, what somebody sees
 * to stays acknowledged, over a restart too. Every transition is an event (`alarm-state`) and a line of the audit log.
 */
export class AlarmDesk implements Alarms, Closable {
  readonly #options: AlarmDeskOptions
  readonly #file: AlarmFile | undefined
  readonly #now: () => number
  readonly #timers: Timers
  readonly #standing = new Map<string, Alarm>()
  readonly #leaving = new Map<string, Waiting>()
  #cleared: readonly Alarm[] = []
  #unsubscribe: Unsubscribe = () => {}
  #left = 0
  #closed = false

  private constructor(options: AlarmDeskOptions) {
    this.#options = options
    this.#file = options.file === undefined ? undefined : new AlarmFile(options.file)
    this.#now = options.now ?? Date.now
    this.#timers = options.timers ?? systemTimers
  }

  /**
   * Takes up the alarms of before, and listens from now on.
   * @throws {StoreError} the file is damaged
   */
  static async open(options: AlarmDeskOptions): Promise<AlarmDesk> {
    const desk = new AlarmDesk(options)
    for (const alarm of (await desk.#file?.read()) ?? []) desk.#takeUp(alarm)
    desk.#unsubscribe = options.telemetry.subscribe(event => desk.#hear(event))
    return desk
  }

  list(): readonly Alarm[] {
    const standing = [...this.#standing.values()].sort(
      (a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity) || b.raisedAtMs - a.raisedAtMs,
    )
    return [...standing, ...this.#cleared]
  }

  async acknowledge(id: string, by: OperatorIdentity, { note }: { readonly note?: string } = {}): Promise<Alarm> {
    if (this.#closed) throw new ClosedError('The alarms are closed')
    const alarm = this.#standing.get(id)
    if (alarm === undefined) throw new InvalidArgumentError(`No alarm ${id} stands; qkd alarm list shows those that do`)
    // A second person's word changes nothing: who was first sees to it.
    if (alarm.state === 'acknowledged') return alarm
    const atMs = this.#now()
    const acknowledged = { by: by.name, atMs, ...(note !== undefined && { note }) }
    const next: Alarm = { ...alarm, state: 'acknowledged', changedAtMs: atMs, acknowledged }
    this.#standing.set(id, next)
    try {
      await this.#file?.write(() => this.list())
    } catch (error) {
      if (this.#standing.get(id) === next) this.#standing.set(id, alarm)
      throw error
    }
    this.#tell(next, by)
    return next
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#unsubscribe()
    for (const { cancel } of this.#leaving.values()) cancel()
    this.#leaving.clear()
    await this.#file?.write(() => this.list()).catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #takeUp(alarm: Alarm): void {
    if (alarm.state === 'cleared') {
      this.#cleared = [...this.#cleared, alarm].slice(0, MAX_CLEARED)
      return
    }
    this.#standing.set(alarm.id, alarm)
    const { settleMs = 180_000 } = this.#options
    this.#leaveAfter(alarm.id, settleMs, 'Not seen again since the restart')
  }

  #hear(event: TelemetryEvent): void {
    if (event.type !== 'alarm') return
    if (event.state === 'raised') this.#raise(event)
    else this.#causeGone(event)
  }

  #raise({ id, severity, text: said }: { id: string; severity: AlarmSeverity; text: string }): void {
    const text = said.slice(0, MAX_TEXT)
    const before = this.#standing.get(id)
    const leaving = this.#leaving.get(id)
    leaving?.cancel()
    this.#leaving.delete(id)
    if (before === undefined) {
      if (this.#standing.size >= MAX_STANDING) {
        this.#left += 1
        this.#options.logger.error(
          { id, left: this.#left },
          `More than ${MAX_STANDING} alarms stand: this one is left out`,
        )
        return
      }
      const atMs = this.#now()
      const alarm: Alarm = { id, severity, state: 'active', text, raisedAtMs: atMs, changedAtMs: atMs, times: 1 }
      this.#standing.set(id, alarm)
      this.#change(alarm)
      return
    }
    const times = before.times + (leaving === undefined ? 0 : 1)
    const isWorse = ORDER.indexOf(severity) < ORDER.indexOf(before.severity)
    const { acknowledged: _, ...anew } = before
    // What has become worse since is not what was acknowledged.
    if (isWorse) {
      const alarm: Alarm = { ...anew, severity, text, times, state: 'active', changedAtMs: this.#now() }
      this.#standing.set(id, alarm)
      this.#change(alarm)
      return
    }
    this.#standing.set(id, { ...before, severity, text, times })
    if (text !== before.text) this.#keep()
  }

  #causeGone({ id, text }: { id: string; text: string }): void {
    if (!this.#standing.has(id)) return
    const { clearAfterMs = 5_000 } = this.#options
    this.#leaveAfter(id, clearAfterMs, text)
  }

  #leaveAfter(id: string, delayMs: number, text: string): void {
    this.#leaving.get(id)?.cancel()
    this.#leaving.set(id, { cancel: this.#timers.after(delayMs, () => this.#clear(id, text)) })
  }

  #clear(id: string, text: string): void {
    this.#leaving.delete(id)
    const alarm = this.#standing.get(id)
    if (alarm === undefined) return
    this.#standing.delete(id)
    const cleared: Alarm = { ...alarm, state: 'cleared', text: text.slice(0, MAX_TEXT), changedAtMs: this.#now() }
    this.#cleared = [cleared, ...this.#cleared].slice(0, MAX_CLEARED)
    this.#change(cleared)
  }

  #change(alarm: Alarm): void {
    this.#keep()
    this.#tell(alarm)
  }

  #tell(alarm: Alarm, operator?: OperatorIdentity): void {
    const { id, severity, state, text } = alarm
    const { telemetry, audit, logger } = this.#options
    telemetry.emit({ type: 'alarm-state', id, severity, state, text, ...(operator && { operator: operator.name }) })
    const entry: AuditEntry = { event: 'alarm', outcome: state, alarm: id, reason: text, ...(operator && { operator }) }
    audit?.record(entry).catch((error: Error) => {
      logger.error({ alarm: id, state, reason: error.message }, 'An alarm was not written to the audit log')
    })
  }

  #keep(): void {
    this.#file
      ?.write(() => this.list())
      .catch((error: Error) => this.#options.logger.error({ reason: error.message }, 'Alarms are not kept'))
  }
}
