/** Blocks that the rate is taken over. */
const BLOCKS = 16
/** A change below this fraction is not told: measured rates always tremble. */
const NOTICEABLE = 0.1

/**
 * What a pair of KMEs yields, in bits per second: the bits of the last blocks over the time for which they were wanted, waits
 * for the devices included. Time in which nobody wanted key does not count.
 */
export class YieldGauge {
  readonly #blockBits: number
  readonly #now: () => number
  readonly #intervalsMs: number[] = []
  #sinceMs: number | undefined
  #toldBps = 0

  /** @param now milliseconds of a clock that never steps */
  constructor({ blockBits, now = () => performance.now() }: { blockBits: number; now?: () => number }) {
    this.#blockBits = blockBits
    this.#now = now
  }

  /** The rate as it was last told; 0 before the first block. */
  get rateBps(): number {
    return this.#toldBps
  }

  /** Key is wanted from now on. */
  begin(): void {
    this.#sinceMs ??= this.#now()
  }

  /** Nobody wants key from now on. */
  rest(): void {
    this.#sinceMs = undefined
  }

  /** Counts a block. */
  block(): void {
    const nowMs = this.#now()
    this.#intervalsMs.push(Math.max(0.01, nowMs - (this.#sinceMs ?? nowMs)))
    if (this.#intervalsMs.length > BLOCKS) this.#intervalsMs.shift()
    this.#sinceMs = nowMs
    const totalMs = this.#intervalsMs.reduce((sum, intervalMs) => sum + intervalMs, 0)
    const bps = Math.max(1, Math.round((this.#intervalsMs.length * this.#blockBits * 1_000) / totalMs))
    if (Math.abs(bps - this.#toldBps) > NOTICEABLE * this.#toldBps) this.#toldBps = bps
  }
}
