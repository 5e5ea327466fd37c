import { EVEN, UNKNOWN } from './block-tree.ts'
import type { CascadeFrame } from './frame.ts'
import type { PassShape } from './pass.ts'
import type { CascadeSearch } from './search.ts'
import type { CascadeVariant } from './variants.ts'

interface Visit {
  readonly block: number
  /** Whether to go on in the right half if this (left) one turns out even. */
  readonly thenRight: boolean
}

/**
 * The order of questions that cascade-cpp asks: each pass asks all its blocks at once; odd ones are halved; each
 * correction revisits the block around it in every other pass, always from the top. A parity is inferred only from a
 * block and its other half, and a block that waits twice is asked twice, as there.
 */
export class PublishedSearch implements CascadeSearch {
  readonly #frame: CascadeFrame
  readonly #variant: CascadeVariant
  readonly #errorRate: number
  readonly #shapeOf: (pass: number) => PassShape
  readonly #visits: Visit[] = []
  #asked: Visit[] = []
  #pass = 0
  #confirmed = 0
  #cascades = true
  #correctedBefore = 0

  constructor(
    frame: CascadeFrame,
    {
      variant,
      errorRate,
      shapeOf,
    }: { variant: CascadeVariant; errorRate: number; shapeOf: (pass: number) => PassShape },
  ) {
    this.#frame = frame
    this.#variant = variant
    // The block sizes need a rate above 0; cascade-cpp's least.
    this.#errorRate = Math.max(errorRate, 1e-5)
    this.#shapeOf = shapeOf
  }

  questions(): readonly number[] {
    this.#visitAll()
    while (this.#asked.length === 0 && this.#startPass()) this.#visitAll()
    return this.#asked.map(({ block }) => block)
  }

  answer(errors: ArrayLike<number>): void {
    this.#asked.forEach((visit, at) => {
      this.#frame.blocks.setError(visit.block, errors[at]!)
      this.#visits.push(visit)
    })
    this.#asked = []
  }

  #startPass(): boolean {
    const { passes, confirmations, blockSize } = this.#variant
    const frame = this.#frame
    if (this.#pass >= passes) {
      if (confirmations === 0) return false
      const found = this.#pass > passes && frame.correctedBits > this.#correctedBefore
      this.#confirmed = this.#pass === passes || found ? 0 : this.#confirmed + 1
      if (this.#confirmed >= confirmations) return false
      this.#cascades = false
      this.#correctedBefore = frame.correctedBits
    }
    const pass = ++this.#pass
    const confirms = pass > passes
    const size = confirms ? Math.floor(frame.sizeBits / 2) : blockSize(pass, this.#errorRate, frame.sizeBits)
    const { first, count } = frame.addPass(this.#shapeOf(pass), size)
    for (let i = 0; i < count; i++) this.#asked.push({ block: first + i, thenRight: false })
    return true
  }

  #visitAll(): void {
    for (let at = 0; at < this.#visits.length; at++) this.#visit(this.#visits[at]!)
    this.#visits.length = 0
  }

  #visit({ block, thenRight }: Visit): void {
    const frame = this.#frame
    for (let at = block, right = thenRight; ; ) {
      if (frame.blocks.errorOf(at) === UNKNOWN && !this.#infer(at)) {
        this.#asked.push({ block: at, thenRight: right })
        return
      }
      if (frame.blocks.errorOf(at) === EVEN) {
        if (!right) return
        ;[at, right] = [at + 1, false]
      } else if (frame.sizeOf(at) === 1) {
        this.#correct(at)
        return
      } else {
        const left = frame.blocks.leftOf(at)
        ;[at, right] = [left === -1 ? frame.split(at) : left, true]
      }
    }
  }

  #infer(block: number): boolean {
    const frame = this.#frame
    const parent = frame.blocks.parentOf(block)
    if (parent === -1 || frame.blocks.errorOf(parent) === UNKNOWN) return false
    const left = frame.blocks.leftOf(parent)
    const other = frame.blocks.errorOf(block === left ? left + 1 : left)
    if (other === UNKNOWN) return false
    frame.blocks.setError(block, frame.blocks.errorOf(parent) ^ other)
    return true
  }

  #correct(block: number): void {
    const frame = this.#frame
    const place = frame.placeOf(block)
    const found = frame.blocks.passOf(block)
    frame.correct(place)
    if (!this.#cascades) return
    for (let pass = 0; pass < frame.passCount; pass++) {
      if (pass !== found) this.#visits.push({ block: frame.blockAt(pass, place), thenRight: false })
    }
  }
}
