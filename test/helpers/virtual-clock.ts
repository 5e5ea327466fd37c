import { setImmediate as turn } from 'node:timers/promises'
import type { LineClock } from '../../lib/qll/bb84/photons/photon-line.ts'

/**
 * A clock that stands still but where somebody sleeps, and then jumps, up to a limit that the test sets. A sleeper that
 * would sleep beyond it waits until the limit is raised.
 */
export class VirtualClock implements LineClock {
  #nowMs: number
  #limitMs: number
  readonly #leastMs: number
  readonly #sleepers = new Set<() => void>()

  /** @param leastMs a shorter sleep lasts as long as this, so that polls over hours are few */
  constructor({ startMs = 0, leastMs = 0 } = {}) {
    this.#nowMs = startMs
    this.#limitMs = startMs
    this.#leastMs = leastMs
  }

  now(): number {
    return this.#nowMs
  }

  /** Lets time run up to `toMs`; where nobody sleeps it is that late at once. */
  raise(toMs: number): void {
    this.#limitMs = toMs
    for (const wake of [...this.#sleepers]) wake()
  }

  /** It is `toMs`, whoever sleeps. */
  jump(toMs: number): void {
    this.raise(toMs)
    this.#nowMs = Math.max(this.#nowMs, toMs)
  }

  async sleep(ms: number, { signal }: { signal: AbortSignal }): Promise<void> {
    const dueMs = this.#nowMs + (ms === 0 ? 0 : Math.max(ms, this.#leastMs))
    await turn()
    while (dueMs > this.#limitMs) {
      signal.throwIfAborted()
      await new Promise<void>(resolve => {
        const wake = () => {
          this.#sleepers.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#sleepers.add(wake)
        signal.addEventListener('abort', wake, { once: true })
      })
    }
    signal.throwIfAborted()
    this.#nowMs = Math.max(this.#nowMs, dueMs)
  }
}
