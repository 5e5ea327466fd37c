import { ProtocolError } from '../../../errors.ts'
import { BlockTree } from './block-tree.ts'
import type { PassShape } from './pass.ts'

/** One pass of a frame: its bits in the order of the pass, and where its blocks begin. */
interface Pass {
  readonly shape: PassShape
  readonly blockSize: number
  readonly firstBlock: number
  /** Undefined while a pass that leaves bits out was never searched: its parity needs no order. */
  bits: Uint32Array | undefined
}

/**
 * One side's view of one frame under reconciliation: its own bits, and the blocks whose parities were compared. Both
 * sides hold the same blocks; only their bits differ.
 */
export class CascadeFrame {
  readonly sizeBits: number
  readonly blocks: BlockTree
  readonly #corrects: boolean
  readonly #own: Uint32Array
  /** The places that were corrected, as bits. */
  readonly #corrected: Uint32Array
  readonly #passes: Pass[] = []
  #correctedBits = 0

  /**
   * @param bits the frame, packed 32 to a word, lowest bit first; taken over, and corrected in place where `corrects`
   */
  constructor(bits: Uint32Array, { sizeBits, corrects }: { sizeBits: number; corrects: boolean }) {
    this.#own = bits
    this.#corrected = new Uint32Array(bits.length)
    this.sizeBits = sizeBits
    this.#corrects = corrects
    // About what a frame with 1 % of errors takes.
    this.blocks = new BlockTree(Math.max(sizeBits >>> 2, 1024))
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
    const first = this.blocks.size
    const pass = this.#passes.length
    const bits = shape.members === undefined ? this.#arrange(shape.order) : undefined
    this.#passes.push({ shape, blockSize, firstBlock: first, bits })
    for (let start = 0; start < shape.sizeBits; start += blockSize) {
      this.blocks.add(pass, start, Math.min(start + blockSize, shape.sizeBits))
    }
    return { first, count: this.blocks.size - first }
  }

  /** Bits of a block. */
  sizeOf(block: number): number {
    return this.blocks.endOf(block) - this.blocks.startOf(block)
  }

  /** Place in the frame of a block of one bit. */
  placeOf(block: number): number {
    const { order } = this.#passes[this.blocks.passOf(block)]!.shape
    const at = this.blocks.startOf(block)
    return order === undefined ? at : order[at]!
  }

  /** Halves a block of two bits or more and gives the number of the left half. */
  split(block: number): number {
    const searched = this.#passes[this.blocks.passOf(block)]!
    searched.bits ??= this.#arrange(searched.shape.order)
    return this.blocks.split(block)
  }

  /** Parity of this side's bits in a block, as they stand now. */
  parityOf(block: number): number {
    const { bits, shape } = this.#passes[this.blocks.passOf(block)]!
    if (bits === undefined) return this.#parityAmong(shape.members!)
    const start = this.blocks.startOf(block)
    const last = this.blocks.endOf(block) - 1
    const [from, to] = [start >>> 5, last >>> 5]
    const low = -1 << (start & 31)
    const high = -1 >>> (31 - (last & 31))
    if (from === to) return parity(bits[from]! & low & high)
    let folded = (bits[from]! & low) ^ (bits[to]! & high)
    for (let i = from + 1; i < to; i++) folded ^= bits[i]!
    return parity(folded)
  }

  /** The block of `pass` (not a part of one) that holds this place of the frame, or -1. */
  blockAt(pass: number, place: number): number {
    return this.#blockOf(this.#passes[pass]!, place)
  }

  /** The undivided part of a block of `pass` that holds this place, or -1: what a search there would go on from. */
  partAt(pass: number, place: number): number {
    const searched = this.#passes[pass]!
    const block = this.#blockOf(searched, place)
    if (block === -1 || this.blocks.leftOf(block) === -1) return block
    const at = searched.shape.place === undefined ? place : searched.shape.place[place]!
    return this.blocks.partAt(block, at)
  }

  /**
   * Corrects the error at `place`: flips the bit where this side corrects, and what is known of every block around it.
   * @throws {ProtocolError} it was corrected before: the other side's parities contradict each other
   */
  correct(place: number): void {
    const bit = 1 << (place & 31)
    if ((this.#corrected[place >>> 5]! & bit) !== 0) {
      throw new ProtocolError('The parities of a frame contradict each other')
    }
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
    const block = this.#blockOf(pass, place)
    if (block === -1) return
    const { shape, bits } = pass
    const at = bits === undefined || shape.place === undefined ? place : shape.place[place]!
    if (this.#corrects && bits !== undefined && bits !== this.#own) bits[at >>> 5]! ^= 1 << (at & 31)
    this.blocks.flip(block, at)
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
}

function parity(word: number): number {
  let folded = word ^ (word >>> 16)
  folded ^= folded >>> 8
  folded ^= folded >>> 4
  return (0x6996 >>> (folded & 15)) & 1
}
