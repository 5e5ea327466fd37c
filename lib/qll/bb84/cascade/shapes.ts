import { SeededRandom } from '../random.ts'
import { inOrder, type PassShape, randomHalf, shuffled } from './pass.ts'

/**
 * The shapes of all passes of a batch, made when first asked for and the same at both sides: pass `n` comes from the
 * `n`-th seed that the public seed of the batch yields.
 */
export class PassShapes {
  readonly #seeds: SeededRandom
  readonly #seedOf: Uint8Array[] = []
  readonly #shapes: (PassShape | undefined)[] = []
  readonly #sizeBits: number
  readonly #halvesFrom: number

  /**
   * @param seed 16 public random bytes, chosen after the bits were measured
   * @param halvesFrom first pass that is a random half of the bits; passes before it shuffle all of them
   */
  constructor(seed: Uint8Array, { sizeBits, halvesFrom }: { sizeBits: number; halvesFrom: number }) {
    this.#seeds = new SeededRandom(seed)
    this.#sizeBits = sizeBits
    this.#halvesFrom = halvesFrom
  }

  /** The shape of a pass; the first is 1. */
  of(pass: number): PassShape {
    const known = this.#shapes[pass]
    if (known !== undefined) return known
    const made = this.#make(pass)
    this.#shapes[pass] = made
    return made
  }

  #make(pass: number): PassShape {
    if (pass === 1) return inOrder(this.#sizeBits)
    while (this.#seedOf.length <= pass) {
      const seed = new Uint8Array(16)
      this.#seeds.fill(seed)
      this.#seedOf.push(seed)
    }
    const random = new SeededRandom(this.#seedOf[pass]!)
    return pass < this.#halvesFrom ? shuffled(this.#sizeBits, random) : randomHalf(this.#sizeBits, random)
  }
}
