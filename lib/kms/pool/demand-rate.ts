/** How fast cells are asked for: an exponential average over about `windowMs`. Deterministic under an injected clock. */
export class DemandRate {
  readonly #windowMs: number
  #cellsPerMs = 0
  #sinceMs: number
  #cells = 0

  constructor({ windowMs, nowMs }: { windowMs: number; nowMs: number }) {
    this.#windowMs = windowMs
    this.#sinceMs = nowMs
  }

  add(cells: number): void {
    this.#cells += cells
  }

  /** Cells a second as of `nowMs`. */
  perSecond(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs
    // Averages over less than this say more of the moment than of the demand.
    if (elapsedMs >= this.#windowMs / 10) {
      const keep = Math.exp(-elapsedMs / this.#windowMs)
      this.#cellsPerMs = this.#cellsPerMs * keep + (this.#cells / elapsedMs) * (1 - keep)
      this.#cells = 0
      this.#sinceMs = nowMs
    }
    return this.#cellsPerMs * 1000
  }
}
