import type { Timers } from '../../lib/util/timers.ts'

interface Alarm {
  readonly dueMs: number
  readonly run: () => void
}

/** Timers whose clock stands where it was put; alarms ring as it is moved past them. */
export class VirtualTimers implements Timers {
  #nowMs = 0
  /** Ascending by when they are due. */
  readonly #alarms: Alarm[] = []

  readonly nowMs = (): number => this.#nowMs

  readonly after = (delayMs: number, run: () => void): (() => void) => {
    const alarm = { dueMs: this.#nowMs + delayMs, run }
    let at = this.#alarms.length
    while (at > 0 && this.#alarms[at - 1]!.dueMs > alarm.dueMs) at -= 1
    this.#alarms.splice(at, 0, alarm)
    return () => {
      const found = this.#alarms.indexOf(alarm)
      if (found >= 0) this.#alarms.splice(found, 1)
    }
  }

  /** Lets it be `ms`; what is due by then rings in order. */
  moveTo(ms: number): void {
    while (this.#alarms.length > 0 && this.#alarms[0]!.dueMs <= ms) {
      const { dueMs, run } = this.#alarms.shift()!
      this.#nowMs = Math.max(this.#nowMs, dueMs)
      run()
    }
    this.#nowMs = Math.max(this.#nowMs, ms)
  }
}
