/** Bounds of a `BackOff`, in milliseconds. */
export interface BackOffOptions {
  /** First pause; a positive number. Default 100. */
  minMs?: number
  /** Longest pause, at least `minMs`. Default 5000. */
  maxMs?: number
  /** Numbers from 0 to 1 for the jitter. Default `Math.random`. */
  random?: () => number
}

/** How long to pause before the next try: doubles from try to try, with jitter so that many peers do not come at once. */
export class BackOff {
  readonly #minMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #nextMs: number

  constructor({ minMs = 100, maxMs = 5000, random = Math.random }: BackOffOptions = {}) {
    this.#minMs = minMs
    this.#maxMs = maxMs
    this.#random = random
    this.#nextMs = minMs
  }

  /** The pause before the next try, in milliseconds: from half of the present step to all of it. */
  nextMs(): number {
    const stepMs = this.#nextMs
    this.#nextMs = Math.min(stepMs * 2, this.#maxMs)
    return stepMs * (0.5 + 0.5 * this.#random())
  }

  /** After a success: the next pause is the first one again. */
  reset(): void {
    this.#nextMs = this.#minMs
  }
}
