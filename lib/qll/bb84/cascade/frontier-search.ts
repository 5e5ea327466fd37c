import { EVEN, ODD } from './block-tree.ts'
import type { CascadeFrame } from './frame.ts'
import type { PassShape } from './pass.ts'
import type { CascadeSearch } from './search.ts'

/** Sizes of the two cut passes, and how many random halves must agree at the end. */
export interface FrontierVariant {
  /** Size of the blocks of the first pass, in bits: about one error to a block. */
  firstBlockBits(errorRate: number): number
  /** Size of the blocks of the second, shuffled pass, in bits. */
  secondBlockBits(errorRate: number): number
  /** Random halves that are compared; a frame with errors left passes them all with a probability of 2^-halves. */
  readonly halves: number
}

/**
 * The default: blocks of a power of two, for then each halving asks the question of most weight. Efficiency 1.04 to 1.05
 * at 1 to 5 % on frames of 65,536 bits, in about 200 rounds; frame errors near 1e-5 (bench/soak/cascade.ts measures).
 */
export const DEFAULT_VARIANT: FrontierVariant = {
  firstBlockBits: errorRate => nearestPowerOf2(1, errorRate),
  secondBlockBits: errorRate => nearestPowerOf2(5, errorRate),
  halves: 20,
}

/**
 * Cascade that goes on from everything it ever learned. The undivided parts of a pass are its frontier: each has a known
 * parity, and every correction flips one part in each pass. Odd parts are halved wherever they lie, not only under odd
 * blocks; a part is asked about once; a last block and a right half are inferred. Odd parts of the two cut passes are
 * searched side by side; the random halves one at a time, for all of them would chase the same few errors.
 */
export class FrontierSearch implements CascadeSearch {
  readonly #frame: CascadeFrame
  readonly #variant: FrontierVariant
  readonly #errorRate: number
  readonly #shapeOf: (pass: number) => PassShape
  /** Odd parts by pass, oldest first; a part that has become even or was halved since is skipped. */
  readonly #odd: number[][] = []
  #asked: number[] = []
  #stage: 'first' | 'second' | 'halves' | 'done' = 'first'
  #comparing: 'blocks' | 'parts' = 'blocks'
  #last = -1

  /** @param errorRate expected share of wrong bits; taken as at least one in the frame */
  constructor(
    frame: CascadeFrame,
    {
      variant,
      errorRate,
      shapeOf,
    }: { variant: FrontierVariant; errorRate: number; shapeOf: (pass: number) => PassShape },
  ) {
    this.#frame = frame
    this.#variant = variant
    this.#errorRate = Math.max(errorRate, 1 / frame.sizeBits)
    this.#shapeOf = shapeOf
  }

  questions(): readonly number[] {
    this.#halveOddParts()
    while (this.#asked.length === 0 && this.#stage !== 'done') this.#startStage()
    return this.#asked
  }

  answer(errors: ArrayLike<number>): void {
    const asked = this.#asked
    this.#asked = []
    const frame = this.#frame
    const parts = this.#comparing === 'parts'
    let total = 0
    for (let i = 0; i < asked.length; i++) {
      frame.blocks.setError(asked[i]!, errors[i]!)
      if (parts) frame.blocks.setError(asked[i]! + 1, 1 ^ errors[i]!)
      total ^= errors[i]!
    }
    const last = this.#last
    this.#last = -1
    // No odd part was left when this pass began, so all its blocks together hold an even number of errors.
    if (last !== -1) frame.blocks.setError(last, total)
    for (let i = 0; i < asked.length; i++) {
      this.#take(asked[i]!)
      if (parts) this.#take(asked[i]! + 1)
    }
    if (last !== -1) this.#take(last)
  }

  #startStage(): void {
    const frame = this.#frame
    this.#comparing = 'blocks'
    if (this.#stage === 'first') {
      const blocks = this.#addPass(this.#variant.firstBlockBits(this.#errorRate))
      for (let i = 0; i < blocks.count; i++) this.#asked.push(blocks.first + i)
      this.#stage = 'second'
    } else if (this.#stage === 'second') {
      const blocks = this.#addPass(this.#variant.secondBlockBits(this.#errorRate))
      for (let i = 0; i < blocks.count - 1; i++) this.#asked.push(blocks.first + i)
      // A single block is the frame, and that is even by now: nothing to ask.
      if (blocks.count > 1) this.#last = blocks.first + blocks.count - 1
      else frame.blocks.setError(blocks.first, EVEN)
      this.#stage = 'halves'
    } else if (this.#stage === 'halves') {
      for (let i = 0; i < this.#variant.halves; i++) {
        const { first, count } = this.#addPass(frame.sizeBits)
        if (count === 1) this.#asked.push(first)
      }
      this.#stage = 'done'
    }
  }

  #addPass(blockSize: number): { first: number; count: number } {
    this.#odd.push([])
    return this.#frame.addPass(this.#shapeOf(this.#odd.length), blockSize)
  }

  #halveOddParts(): void {
    this.#comparing = 'parts'
    for (let pass = 0; pass < this.#odd.length; pass++) {
      if (pass >= 2 && this.#asked.length > 0) return
      const odd = this.#odd[pass]!
      for (let i = 0; i < odd.length; i++) {
        if (this.#isOpen(odd[i]!)) this.#asked.push(this.#frame.split(odd[i]!))
      }
      odd.length = 0
    }
  }

  /** Notes an odd part for halving; if it is one bit, corrects it and notes what that turns odd. */
  #take(part: number): void {
    if (!this.#isOpen(part)) return
    if (this.#frame.sizeOf(part) > 1) this.#odd[this.#frame.blocks.passOf(part)]!.push(part)
    else this.#correct(part)
  }

  /** Corrects an odd part of one bit, and all that turn out to be such by it. */
  #correct(bit: number): void {
    const frame = this.#frame
    const open = [bit]
    for (let part = open.pop(); part !== undefined; part = open.pop()) {
      if (!this.#isOpen(part)) continue
      if (frame.sizeOf(part) > 1) {
        this.#odd[frame.blocks.passOf(part)]!.push(part)
        continue
      }
      const place = frame.placeOf(part)
      frame.correct(place)
      for (let pass = 0; pass < frame.passCount; pass++) {
        const around = frame.partAt(pass, place)
        if (around !== -1) open.push(around)
      }
    }
  }

  #isOpen(part: number): boolean {
    return this.#frame.blocks.errorOf(part) === ODD && this.#frame.blocks.leftOf(part) === -1
  }
}

/** The power of two nearest (by ratio) to `errors` / `errorRate`; with multiplications only, so that both sides agree. */
function nearestPowerOf2(errors: number, errorRate: number): number {
  let size = 1
  while (size * errorRate * Math.SQRT2 < errors) size *= 2
  return size
}
