/** Room for the blocks of one millisecond: a restart a millisecond later starts above all numbers given before it. */
const BLOCKS_PER_MS_BITS = 20n

/**
 * Numbers that are never given twice: ascending, and across restarts by the wall clock. Against a clock that was set
 * back while this end was away, the other end tells the last number it saw, and the takers at both ends tell the last
 * one that they have on disk.
 */
export class BlockNumbers {
  #last: bigint

  constructor(now: () => number = Date.now) {
    this.#last = BigInt(Math.trunc(now())) << BLOCKS_PER_MS_BITS
  }

  /** The last number given, or the one below the first. */
  get last(): bigint {
    return this.#last
  }

  /** Every later number is above `seen`. */
  startAbove(seen: bigint): void {
    if (seen > this.#last) this.#last = seen
  }

  next(): bigint {
    this.#last += 1n
    return this.#last
  }
}
