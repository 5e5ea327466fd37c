import { ProtocolError } from '../../../errors.ts'
import type { PassShape } from './pass.ts'

/** What is known of a block: an even or odd number of errors, or nothing yet. */
export const EVEN = 0
export const ODD = 1
export const UNKNOWN = 2

/** One pass of a frame: its bits in the order of the pass, and where its blocks begin. */
interface Pass {
  readonly shape: PassShape
  readonly blockSize: number
  readonly firstBlock: number
  /** Undefined while a pass that leaves bits out was never searched: its parity needs no order. */
  bits: Uint32Array | undefined
}

/**
 * One side's view of one frame under reconciliation: its own bits, and the tree of blocks whose parities were compared.
 * Both sides hold the same tree; only their bits differ. Blocks are numbered as they are made: the blocks of a pass, and
 * two halves at each split, the left one first.
 */
export class CascadeFrame {
  readonly sizeBits: number
  readonly #corrects: boolean
  readonly #own: Uint32Array
  /** The places that were corrected, as bits. */
  readonly #corrected: Uint32Array
  readonly #passes: Pass[] = []
  #starts = new Uint32Array(1024)
  #ends = new Uint32Array(1024)
  #lefts = new Int32Array(1024)
  #parents = new Int32Array(1024)
  #errors = new Uint8Array(1024)
  #passOf = new Uint8Array(1024)
  #blocks = 0
  #correctedBits = 0

  /**
   * @param bits the frame, packed 32 to a word, lowest bit first; taken over, and corrected in place where `corrects`
   */
  constructor(bits: Uint32Array, { sizeBits, corrects }: { sizeBits: number; corrects: boolean }) {
    this.#own = bits
    this.#corrected = new Uint32Array(bits.length)
    this.sizeBits = sizeBits
    this.#corrects = corrects
  }

  /** The bits as they stand now. */
  get bits(): Uint32Array {
    return this.#own
  }

  /** Errors found so far; the side that corrects has flipped them. */
  get correctedBits(): number {
    return this.#correctedBits
  }

  get passCount(): number {
    return this.#passes.length
  }

  /** Adds a pass cut into blocks of `blockSize` bits, the last one perhaps shorter. */
  addPass(shape: PassShape, blockSize: number): { first: number; count: number } {
    const first = this.#blocks
    const pass = this.#passes.length
    const bits = shape.members === undefined ? this.#arrange(shape.order) : undefined
    this.#passes.push({ shape, blockSize, firstBlock: first, bits })
    for (let start = 0; start < shape.sizeBits; start += blockSize) {
      this.#add(start, Math.min(start + blockSize, shape.sizeBits), -1, pass)
    }
    return { first, count: this.#blocks - first }
  }

  /** EVEN, ODD or UNKNOWN. */
  errorOf(block: number): number {
    return this.#errors[block]!
  }

  sizeOf(block: number): number {
    return this.#ends[block]! - this.#starts[block]!
  }

  passOf(block: number): number {
    return this.#passOf[block]!
  }

  /** The block that this one is half of, or -1. */
  parentOf(block: number): number {
    return this.#parents[block]!
  }

  /** The left half, or -1 before the split; the right half has the next number. */
  leftOf(block: number): number {
    return this.#lefts[block]!
  }

  /** Place in the frame of a block of one bit. */
  placeOf(block: number): number {
    const { order } = this.#passes[this.#passOf[block]!]!.shape
    const at = this.#starts[block]!
    return order === undefined ? at : order[at]!
  }

  /** Halves a block of two bits or more (the left half is never the larger) and gives the number of the left half. */
  split(block: number): number {
    const [start, end, pass] = [this.#starts[block]!, this.#ends[block]!, this.#passOf[block]!]
    const middle = start + ((end - start) >> 1)
    const left = this.#add(start, middle, block, pass)
    this.#add(middle, end, block, pass)
    this.#lefts[block] = left
    const searched = this.#passes[pass]!
    searched.bits ??= this.#arrange(searched.shape.order)
    return left
  }

  /** Parity of this side's bits in a block, as they stand now. */
  parityOf(block: number): number {
    const { bits, shape } = this.#passes[this.#passOf[block]!]!
    if (bits === undefined) return this.#parityAmong(shape.members!)
    const start = this.#starts[block]!
    const last = this.#ends[block]! - 1
    const [from, to] = [start >>> 5, last >>> 5]
    const low = -1 << (start & 31)
    const high = -1 >>> (31 - (last & 31))
    if (from === to) return parity(bits[from]! & low & high)
    let folded = (bits[from]! & low) ^ (bits[to]! & high)
    for (let i = from + 1; i < to; i++) folded ^= bits[i]!
    return parity(folded)
  }

  /** Records what comparing the parities of a block has shown. */
  setError(block: number, error: number): void {
    this.#errors[block] = error
  }

  /** The block of `pass` (not a part of one) that holds this place of the frame, or -1. */
  blockAt(pass: number, place: number): number {
    return this.#blockOf(this.#passes[pass]!, place)
  }

  /** The undivided part of a block of `pass` that holds this place, or -1: what a search there would go on from. */
  partAt(pass: number, place: number): number {
    const searched = this.#passes[pass]!
    let block = this.#blockOf(searched, place)
    if (block === -1 || this.#lefts[block] === -1) return block
    const at = searched.shape.place === undefined ? place : searched.shape.place[place]!
    for (let left = this.#lefts[block]!; left !== -1; left = this.#lefts[block]!) {
      block = at < this.#ends[left]! ? left : left + 1
    }
    return block
  }

  /**
   * Corrects the error at `place`: flips the bit where this side corrects, and what is known of every block around it.
   * @throws {ProtocolError} it was corrected before: the other side's parities contradict each other
   */
  correct(place: number): void {
    const bit = 1 << (place & 31)
    if ((this.#corrected[place >>> 5]! & bit) !== 0)
      throw new ProtocolError('The parities of a frame contradict each other')
    this.#corrected[place >>> 5]! |= bit
    this.#correctedBits++
    if (this.#corrects) this.#own[place >>> 5]! ^= bit
    for (let i = 0; i < this.#passes.length; i++) this.#flip(this.#passes[i]!, place)
  }

  /** Overwrites every copy of the bits but the one that was handed in, and the places of the errors. */
  wipe(): void {
    for (const { bits } of this.#passes) if (bits !== this.#own) bits?.fill(0)
    this.#corrected.fill(0)
  }

  #flip(pass: Pass, place: number): void {
    let block = this.#blockOf(pass, place)
    if (block === -1) return
    const { shape, bits } = pass
    const at = bits === undefined || shape.place === undefined ? place : shape.place[place]!
    if (this.#corrects && bits !== undefined && bits !== this.#own) bits[at >>> 5]! ^= 1 << (at & 31)
    for (;;) {
      if (this.#errors[block] !== UNKNOWN) this.#errors[block]! ^= 1
      const left = this.#lefts[block]!
      if (left === -1) return
      block = at < this.#ends[left]! ? left : left + 1
    }
  }

  #blockOf({ shape, blockSize, firstBlock }: Pass, place: number): number {
    if (shape.members !== undefined) {
      // A pass that leaves bits out is one block.
      return ((shape.members[place >>> 5]! >>> (place & 31)) & 1) === 0 ? -1 : firstBlock
    }
    const at = shape.place === undefined ? place : shape.place[place]!
    return firstBlock + Math.floor(at / blockSize)
  }

  #parityAmong(members: Uint32Array): number {
    let folded = 0
    for (let i = 0; i < members.length; i++) folded ^= members[i]! & this.#own[i]!
    return parity(folded)
  }

  #arrange(order: Uint32Array | undefined): Uint32Array {
    if (order === undefined) return this.#own
    const own = this.#own
    const out = new Uint32Array(Math.ceil(order.length / 32))
    for (let word = 0, at = 0; word < out.length; word++) {
      const end = Math.min(at + 32, order.length)
      let bits = 0
      for (let bit = 0; at < end; at++, bit++) {
        const place = order[at]!
        bits |= ((own[place >>> 5]! >>> (place & 31)) & 1) << bit
      }
      out[word] = bits
    }
    return out
  }

  #add(start: number, end: number, parent: number, pass: number): number {
    const block = this.#blocks++
    if (block === this.#starts.length) this.#grow()
    this.#starts[block] = start
    this.#ends[block] = end
    this.#lefts[block] = -1
    this.#parents[block] = parent
    this.#errors[block] = UNKNOWN
    this.#passOf[block] = pass
    return block
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
    this.#passOf = grown(this.#passOf)
  }
}

function parity(word: number): number {
  let folded = word ^ (word >>> 16)
  folded ^= folded >>> 8
  folded ^= folded >>> 4
  return (0x6996 >>> (folded & 15)) & 1
}
