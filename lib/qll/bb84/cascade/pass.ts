import type { SeededRandom } from '../random.ts'

/**
 * The order in which one pass looks at the bits of a frame. Shapes hold nothing secret, and all frames of a batch share
 * them: what a shuffle costs is paid once.
 */
export interface PassShape {
  /** Bits of the frame that the pass looks at. */
  readonly sizeBits: number
  /** The bits it looks at, packed 32 to a word, where it leaves some out. */
  readonly members?: Uint32Array
  /** Place in the pass to place in the frame; undefined where they are the same. */
  readonly order: Uint32Array | undefined
  /** Place in the frame to place in the pass, for the bits it looks at; undefined where they are the same. */
  readonly place: Uint32Array | undefined
}

/** The shape of a first pass: the bits as they came. */
export function inOrder(sizeBits: number): PassShape {
  return { sizeBits, order: undefined, place: undefined }
}

/** A uniform shuffle of all bits. */
export function shuffled(sizeBits: number, random: SeededRandom): PassShape {
  const order = new Uint32Array(sizeBits)
  for (let i = 1; i < sizeBits; i++) {
    const j = random.below(i + 1)
    order[i] = order[j]!
    order[j] = i
  }
  const place = new Uint32Array(sizeBits)
  for (let i = 0; i < sizeBits; i++) place[order[i]!] = i
  return { sizeBits, order, place }
}

/** A random half: each bit is in it with probability ½. Its order is worked out when a search first needs it. */
export function randomHalf(frameBits: number, random: SeededRandom): PassShape {
  return new RandomHalf(frameBits, random)
}

class RandomHalf implements PassShape {
  readonly members: Uint32Array
  readonly sizeBits: number
  readonly #frameBits: number
  #order: Uint32Array | undefined
  #place: Uint32Array | undefined

  constructor(frameBits: number, random: SeededRandom) {
    this.#frameBits = frameBits
    this.members = new Uint32Array(Math.ceil(frameBits / 32))
    let sizeBits = 0
    for (let i = 0; i < this.members.length; i++) {
      const left = frameBits - i * 32
      const word = random.uint32() & (left < 32 ? (1 << left) - 1 : -1)
      this.members[i] = word
      sizeBits += populationOf(word)
    }
    this.sizeBits = sizeBits
  }

  get order(): Uint32Array {
    if (this.#order === undefined) this.#enumerate()
    return this.#order!
  }

  get place(): Uint32Array {
    if (this.#place === undefined) this.#enumerate()
    return this.#place!
  }

  #enumerate(): void {
    const order = new Uint32Array(this.sizeBits)
    const place = new Uint32Array(this.#frameBits)
    let at = 0
    for (let i = 0; i < this.#frameBits; i++) {
      if (((this.members[i >>> 5]! >>> (i & 31)) & 1) === 0) continue
      place[i] = at
      order[at++] = i
    }
    this.#order = order
    this.#place = place
  }
}

function populationOf(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555)
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
