import { ProtocolError } from '../../../errors.ts'
import { CascadeFrame } from './frame.ts'
import { DEFAULT_VARIANT, FrontierSearch } from './frontier-search.ts'
import { PublishedSearch } from './published-search.ts'
import type { CascadeSearch } from './search.ts'
import { PassShapes } from './shapes.ts'
import { PUBLISHED_VARIANTS, type PublishedVariantName } from './variants.ts'

export type CascadeVariantName = 'default' | PublishedVariantName

/** What both sides must have agreed on; only `corrects` differs. */
export interface CascadeOptions {
  /** Bits to reconcile. */
  readonly sizeBits: number
  /** Frames that the bits are cut into, of equal length; the last one is filled up with zeros at both sides. */
  readonly frames: number
  /** Expected share of wrong bits. */
  readonly errorRate: number
  /** 16 public random bytes. */
  readonly seed: Uint8Array
  /** True at the side that corrects its bits to match the other's. */
  readonly corrects: boolean
  /** Default `default`. */
  readonly variant?: CascadeVariantName
  /** Most parities that may be disclosed; beyond it the block is given up. Default `sizeBits`. */
  readonly disclosureLimit?: number
}

/** 32-bit words that `sizeBits` bits in so many frames take. */
export function cascadeWords(sizeBits: number, frames: number): number {
  return Math.ceil(sizeBits / frames / 32) * frames
}

/**
 * One side of the reconciliation of a block, all its frames in step. Both sides send `next()` to each other at once,
 * and take the other's message with `accept()`, until `next()` gives undefined; a round costs one message each way, and
 * no round waits for an answer. What travels is one parity a question and nothing else.
 */
export class CascadeBatch {
  readonly #frames: CascadeFrame[] = []
  readonly #searches: CascadeSearch[] = []
  readonly #limit: number
  #questions: (readonly number[])[] = []
  #own: Uint8Array | undefined
  #disclosedBits = 0
  #rounds = 0
  #exhausted = false

  /** @param words the bits, 32 to a word, lowest first, `cascadeWords()` long; corrected in place */
  constructor(words: Uint32Array, options: CascadeOptions) {
    const { sizeBits, frames, errorRate, seed, corrects, variant = 'default' } = options
    const frameWords = cascadeWords(sizeBits, frames) / frames
    if (words.length !== frameWords * frames) throw new ProtocolError('The bits do not fill the frames')
    this.#limit = options.disclosureLimit ?? sizeBits
    const frameBits = frames === 1 ? sizeBits : frameWords * 32
    const shapes = new PassShapes(seed, {
      sizeBits: frameBits,
      halvesFrom: variant === 'default' ? 3 : Number.POSITIVE_INFINITY,
    })
    const shapeOf = (pass: number) => shapes.of(pass)
    for (let i = 0; i < frames; i++) {
      const bits = words.subarray(i * frameWords, (i + 1) * frameWords)
      const frame = new CascadeFrame(bits, { sizeBits: frameBits, corrects })
      this.#frames.push(frame)
      this.#searches.push(
        variant === 'default'
          ? new FrontierSearch(frame, { variant: DEFAULT_VARIANT, errorRate, shapeOf })
          : new PublishedSearch(frame, { variant: PUBLISHED_VARIANTS[variant], errorRate, shapeOf }),
      )
    }
  }

  /** Parities that each side has told the other. */
  get disclosedBits(): number {
    return this.#disclosedBits
  }

  /** Messages that each side has sent. */
  get rounds(): number {
    return this.#rounds
  }

  /** Whether the frames were given up at the limit of disclosure. */
  get exhausted(): boolean {
    return this.#exhausted
  }

  /** Errors found so far. */
  get correctedBits(): number {
    return this.#frames.reduce((total, frame) => total + frame.correctedBits, 0)
  }

  /**
   * The parities of the next round, 8 to a byte, lowest bit first; undefined when all frames are done, or when the round
   * would go beyond the limit of disclosure: then `exhausted` is true, at both sides alike.
   */
  next(): Uint8Array | undefined {
    this.#questions = this.#searches.map(search => search.questions())
    const count = this.#questions.reduce((total, blocks) => total + blocks.length, 0)
    this.#exhausted = this.#disclosedBits + count > this.#limit
    if (count === 0 || this.#exhausted) return undefined
    const packed = new Uint8Array(Math.ceil(count / 8))
    let at = 0
    for (let i = 0; i < this.#frames.length; i++) {
      const frame = this.#frames[i]!
      const blocks = this.#questions[i]!
      for (let j = 0; j < blocks.length; j++, at++) packed[at >>> 3]! |= frame.parityOf(blocks[j]!) << (at & 7)
    }
    this.#own = packed
    this.#disclosedBits += count
    this.#rounds++
    return packed
  }

  /**
   * Takes what the other side's `next()` gave in the same round.
   * @throws {ProtocolError} it is not as long as the round, or contradicts what was said before
   */
  accept(theirs: Uint8Array): void {
    const own = this.#own
    if (own === undefined || theirs.byteLength !== own.byteLength) {
      throw new ProtocolError(`A message of ${theirs.byteLength} bytes of parities does not belong to this round`)
    }
    this.#own = undefined
    let at = 0
    for (let i = 0; i < this.#searches.length; i++) {
      const count = this.#questions[i]!.length
      if (count === 0) continue
      const errors = new Uint8Array(count)
      for (let j = 0; j < count; j++, at++) {
        errors[j] = ((own[at >>> 3]! ^ theirs[at >>> 3]!) >>> (at & 7)) & 1
      }
      this.#searches[i]!.answer(errors)
    }
  }

  /** Overwrites the copies of the bits that the passes made, and the places of the errors. */
  wipe(): void {
    for (const frame of this.#frames) frame.wipe()
  }
}
