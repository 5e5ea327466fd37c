/** Weight of the newest sample in the mean, and in the mean deviation. */
const MEAN_SHARE = 1 / 8
const DEVIATION_SHARE = 1 / 4
/** Deviations from the mean that are still no loss. */
const DEVIATIONS = 4
/** Before the first sample: so many times the least patience. */
const FIRST_PATIENCE = 5

/**
 * How long the other end takes to confirm a block once its last chunk has left this site, measured and foreseen as TCP does
 * with its round trips (RFC 6298). Who asks for what is late before it can be there sends it twice, over links that are
 * short of key as it is.
 */
export class ConfirmTime {
  #meanMs: number | undefined
  #deviationMs = 0

  /** A block was confirmed so long after it had left. Only of blocks that were sent once: of others nobody knows since when. */
  observe(ms: number): void {
    if (this.#meanMs === undefined) {
      this.#meanMs = ms
      this.#deviationMs = ms / 2
      return
    }
    this.#deviationMs += DEVIATION_SHARE * (Math.abs(ms - this.#meanMs) - this.#deviationMs)
    this.#meanMs += MEAN_SHARE * (ms - this.#meanMs)
  }

  /** How long to wait before what is missing counts as lost, in milliseconds, between these bounds. */
  patienceMs({ leastMs, mostMs }: { leastMs: number; mostMs: number }): number {
    const ms = this.#meanMs === undefined ? FIRST_PATIENCE * leastMs : this.#meanMs + DEVIATIONS * this.#deviationMs
    return Math.min(mostMs, Math.max(leastMs, ms))
  }
}
