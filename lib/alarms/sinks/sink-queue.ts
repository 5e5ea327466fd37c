import type { AlarmNotice, AlarmSink } from '../../interface/alarm.ts'
import type { Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import { BackOff } from '../../util/back-off.ts'
import { abortable, delay, withDeadline } from '../../util/deadline.ts'

/** How a queue goes about its work. */
export interface SinkQueueOptions {
  readonly sink: AlarmSink
  readonly telemetry: Telemetry
  readonly logger: Logger
  /** Notices that may wait; the oldest make room. Default 1,000. */
  readonly maxQueued?: number
  /** For one try, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
  /** Tries of one notice; then the next one has its turn. Default 8: a few minutes with the pauses between. */
  readonly attempts?: number
  /** Bounds of the pause after a try that failed, in milliseconds. Default 1,000 to 60,000. */
  readonly pauseMs?: { readonly minMs: number; readonly maxMs: number }
  /** How long what waits may still go out at the end, in milliseconds. Default 2,000. */
  readonly drainMs?: number
}

/** Brings notices to one sink, in order, one at a time. Taking one never waits and never fails: what is lost is counted. */
export class SinkQueue implements Closable {
  readonly #options: SinkQueueOptions
  readonly #waiting: AlarmNotice[] = []
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(options: SinkQueueOptions) {
    this.#options = options
  }

  take(notice: AlarmNotice): void {
    if (this.#closing !== undefined) return
    if (this.#waiting.length >= (this.#options.maxQueued ?? 1_000)) {
      this.#waiting.shift()
      this.#count('dropped', 'too many wait')
    }
    this.#waiting.push(notice)
    this.#running ??= this.#run()
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    const { drainMs = 2_000, sink } = this.#options
    const patience = setTimeout(() => this.#stop.abort(), drainMs)
    await this.#running
    clearTimeout(patience)
    await sink.close()
  }

  async #run(): Promise<void> {
    for (let notice = this.#waiting.shift(); notice !== undefined; notice = this.#waiting.shift()) {
      if (this.#stop.signal.aborted) this.#count('dropped', 'the site ends')
      else await this.#deliver(notice)
    }
    this.#running = undefined
  }

  async #deliver(notice: AlarmNotice): Promise<void> {
    const { sink, timeoutMs = 10_000, attempts = 8, pauseMs = { minMs: 1_000, maxMs: 60_000 }, logger } = this.#options
    const backOff = new BackOff(pauseMs)
    for (let attempt = 1; ; attempt += 1) {
      try {
        const signal = withDeadline(this.#stop.signal, timeoutMs)
        // A sink that misses the signal holds up neither the next notice nor the end of the site.
        await abortable(sink.deliver(notice, { signal }), { signal })
        this.#count('delivered')
        return
      } catch (error) {
        const reason = (error as Error).message
        logger.warn({ sink: sink.name, alarm: notice.id, attempt, reason }, 'an alarm was not delivered')
        if (attempt >= attempts || this.#stop.signal.aborted) return this.#count('failed', reason)
        await delay(backOff.nextMs(), { signal: this.#stop.signal }).catch(() => {})
      }
    }
  }

  #count(outcome: 'delivered' | 'failed' | 'dropped', reason?: string): void {
    const { sink, telemetry } = this.#options
    telemetry.emit({ type: 'alarm-delivery', sink: sink.name, outcome, ...(reason !== undefined && { reason }) })
  }
}
