/** Options of `LookupBudget`. */
export interface LookupBudgetOptions {
  /** Look-ups at once after a quiet time. Default 8. */
  readonly burst?: number
  /** Look-ups a second in the long run. Default 1. */
  readonly perSecond?: number
  /** Look-ups under way at once. Default 4. */
  readonly maxPending?: number
  /** Monotonic clock in milliseconds. */
  readonly now?: () => number
}

/** Bounds what a stranger can cause: each look-up may use a key up, and costs the one who names it nothing. */
export class LookupBudget {
  readonly #options: Required<LookupBudgetOptions>
  #tokens: number
  #atMs: number
  #pending = 0

  constructor({ burst = 8, perSecond = 1, maxPending = 4, now = () => performance.now() }: LookupBudgetOptions = {}) {
    this.#options = { burst, perSecond, maxPending, now }
    this.#tokens = burst
    this.#atMs = now()
  }

  /** Takes a look-up and gives what ends it; undefined where none is left now. */
  take(): (() => void) | undefined {
    const { burst, perSecond, maxPending, now } = this.#options
    const nowMs = now()
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) * perSecond) / 1000)
    this.#atMs = nowMs
    if (this.#tokens < 1 || this.#pending >= maxPending) return undefined
    this.#tokens -= 1
    this.#pending += 1
    return () => {
      this.#pending -= 1
    }
  }
}
