import type { AuditEntry, AuditLog } from '../../interface/audit.ts'
import type { Telemetry } from '../../interface/telemetry.ts'

/** What is watched, and by whom it is heard. */
export interface WatchedAuditOptions {
  /** Closed with this. */
  readonly log: AuditLog
  readonly telemetry: Telemetry
  /** How often a log that could not be written is tried while nobody else writes, in milliseconds. Default 5,000. */
  readonly retryMs?: number
}

/** An audit log that says (`audit_blocked`) whether it can be written: while it can't, no key leaves. */
export class WatchedAudit implements AuditLog {
  readonly #log: AuditLog
  readonly #telemetry: Telemetry
  readonly #retryMs: number
  #refused = 0
  #retry: NodeJS.Timeout | undefined

  constructor({ log, telemetry, retryMs = 5_000 }: WatchedAuditOptions) {
    this.#log = log
    this.#retryMs = retryMs
    this.#telemetry = telemetry
    telemetry.gauge('audit_blocked', {}, 0)
  }

  async record(entry: AuditEntry): Promise<void> {
    try {
      await this.#log.record(entry)
    } catch (error) {
      this.#refused += 1
      this.#telemetry.gauge('audit_blocked', {}, 1)
      // Where nobody asks for keys, nobody would find out that the disk is back.
      this.#retry ??= setInterval(() => void this.#tryAgain(), this.#retryMs).unref()
      throw error
    }
    if (this.#retry !== undefined) this.#writesAgain()
  }

  async close(): Promise<void> {
    clearInterval(this.#retry)
    await this.#log.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #tryAgain(): Promise<void> {
    const reason = `The log could not be written; ${this.#refused} entries were refused`
    await this.#log.record({ event: 'alarm', outcome: 'cleared', alarm: 'audit-blocked', reason }).then(
      () => this.#writesAgain(),
      () => {},
    )
  }

  #writesAgain(): void {
    clearInterval(this.#retry)
    this.#retry = undefined
    this.#refused = 0
    this.#telemetry.gauge('audit_blocked', {}, 0)
  }
}
