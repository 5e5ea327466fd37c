/** What is known of a block: an even or odd number of errors, or nothing yet. */
export const EVEN = 0
export const ODD = 1
export const UNKNOWN = 2

/**
 * The blocks of all passes of a frame, numbered as they are made: the blocks of a pass, and two halves at each split, the
 * left one first. Columns of numbers rather than objects, for a frame of 65,536 bits has tens of thousands.
 */
export class BlockTree {
  #starts: Uint32Array
  #ends: Uint32Array
  #lefts: Int32Array
  #parents: Int32Array
  #errors: Uint8Array
  #passes: Uint8Array
  #size = 0

  /** @param room blocks to make room for at once; it grows */
  constructor(room: number) {
    this.#starts = new Uint32Array(room)
    this.#ends = new Uint32Array(room)
    this.#lefts = new Int32Array(room)
    this.#parents = new Int32Array(room)
    this.#errors = new Uint8Array(room)
    this.#passes = new Uint8Array(room)
  }

  /** Blocks made so far: the number of the next one. */
  get size(): number {
    return this.#size
  }

  /** Makes the block of `pass` from place `start` to `end` (excluded), of which nothing is known. */
  add(pass: number, start: number, end: number, parent = -1): number {
    const block = this.#size++
    if (block === this.#starts.length) this.#grow()
    this.#starts[block] = start
    this.#ends[block] = end
    this.#lefts[block] = -1
    this.#parents[block] = parent
    this.#errors[block] = UNKNOWN
    this.#passes[block] = pass
    return block
  }

  /** Halves a block of two places or more (the left half is never the larger) and gives the number of the left half. */
  split(block: number): number {
    const [start, end, pass] = [this.#starts[block]!, this.#ends[block]!, this.#passes[block]!]
    const middle = start + ((end - start) >> 1)
    const left = this.add(pass, start, middle, block)
    this.add(pass, middle, end, block)
    this.#lefts[block] = left
    return left
  }

  startOf(block: number): number {
    return this.#starts[block]!
  }

  endOf(block: number): number {
    return this.#ends[block]!
  }

  passOf(block: number): number {
    return this.#passes[block]!
  }

  /** The left half, or -1 before the split; the right half has the next number. */
  leftOf(block: number): number {
    return this.#lefts[block]!
  }

  /** The block that this one is half of, or -1. */
  parentOf(block: number): number {
    return this.#parents[block]!
  }

  /** EVEN, ODD or UNKNOWN. */
  errorOf(block: number): number {
    return this.#errors[block]!
  }

  setError(block: number, error: number): void {
    this.#errors[block] = error
  }

  /** One error more or less at place `at`: changes what is known of `block` and of every part of it that holds the place. */
  flip(block: number, at: number): void {
    for (let part = block; ; ) {
      if (this.#errors[part] !== UNKNOWN) this.#errors[part]! ^= 1
      const left = this.#lefts[part]!
      if (left === -1) return
      part = at < this.#ends[left]! ? left : left + 1
    }
  }

  /** The undivided part of a block that holds place `at`. */
  partAt(block: number, at: number): number {
    let part = block
    for (let left = this.#lefts[part]!; left !== -1; left = this.#lefts[part]!) {
      part = at < this.#ends[left]! ? left : left + 1
    }
    return part
  }

  #grow(): void {
    const grown = <T extends Uint8Array | Int32Array | Uint32Array>(old: T): T => {
      const next = new (old.constructor as new (length: number) => T)(old.length * 2)
      next.set(old)
      return next
    }
    this.#starts = grown(this.#starts)
    this.#ends = grown(this.#ends)
    this.#lefts = grown(this.#lefts)
    this.#parents = grown(this.#parents)
    this.#errors = grown(this.#errors)
    this.#passes = grown(this.#passes)
  }
}
