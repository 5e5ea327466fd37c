/** Tokens that come at a steady rate, up to a burst. Times are milliseconds of a clock that never steps. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #atMs: number

  constructor({ perSecond, burst, nowMs }: { perSecond: number; burst: number; nowMs: number }) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#atMs = nowMs
  }

  /** The most that can ever be taken at once. */
  get burst(): number {
    return this.#burst
  }

  /** Takes `tokens` if they are there. */
  take(tokens: number, nowMs: number): boolean {
    this.#fill(nowMs)
    if (this.#tokens < tokens - 1e-6) return false
    this.#tokens -= tokens
    return true
  }

  /** Gives back what was taken and not used. */
  giveBack(tokens: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + tokens)
  }

  /** Time until `tokens` are there, in whole milliseconds. */
  waitMs(tokens: number, nowMs: number): number {
    this.#fill(nowMs)
    const waitMs = ((tokens - this.#tokens) / this.#perSecond) * 1000
    // A rounding error must not make a millisecond of nothing.
    return Math.max(0, Math.ceil(waitMs - 1e-6))
  }

  /** True where nothing of it is known but that it is full: it can be forgotten. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs)
    return this.#tokens >= this.#burst
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perSecond)
    this.#atMs = nowMs
  }
}
