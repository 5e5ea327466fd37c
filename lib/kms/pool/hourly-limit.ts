const HOUR_MS = 3_600_000

/** How often something may happen within any hour. */
export class HourlyLimit {
  readonly #most: number
  readonly #nowMs: () => number
  #times: number[] = []

  constructor(most: number, nowMs: () => number) {
    this.#most = most
    this.#nowMs = nowMs
  }

  /** Milliseconds until it may happen again; 0 for now. */
  get waitMs(): number {
    const nowMs = this.#nowMs()
    this.#times = this.#times.filter(time => nowMs - time < HOUR_MS)
    return this.#times.length < this.#most ? 0 : this.#times[this.#times.length - this.#most]! + HOUR_MS - nowMs
  }

  /** It happened. */
  count(): void {
    this.#times.push(this.#nowMs())
    // Those before don't decide any more.
    if (this.#times.length > this.#most) this.#times.shift()
  }
}
