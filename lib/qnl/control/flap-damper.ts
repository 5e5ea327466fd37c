/** Bounds of a `FlapDamper`. The figures are those of RFC 2439 in kind, scaled to links that are planned anew in a second. */
const PENALTY = 1
const SUPPRESS_ABOVE = 2.5
const REUSE_BELOW = 1
const MOST = 8
const HALF_LIFE_MS = 15_000

/**
 * Keeps a link that comes and goes out of the plans until it has been quiet: each time down is a penalty that halves every
 * 15 seconds; three in short order keep it out for about 20 seconds, more for a minute at most.
 */
export class FlapDamper {
  #penalty = 0
  #atMs = 0
  #suppressed = false

  /** The link went down. */
  down(nowMs: number): void {
    this.#decay(nowMs)
    this.#penalty = Math.min(MOST, this.#penalty + PENALTY)
    if (this.#penalty > SUPPRESS_ABOVE) this.#suppressed = true
  }

  /** True while nothing should be planned over the link even where it is up. */
  suppressed(nowMs: number): boolean {
    this.#decay(nowMs)
    if (this.#penalty < REUSE_BELOW) this.#suppressed = false
    return this.#suppressed
  }

  #decay(nowMs: number): void {
    if (nowMs <= this.#atMs) return
    this.#penalty *= 2 ** (-(nowMs - this.#atMs) / HALF_LIFE_MS)
    this.#atMs = nowMs
  }
}
