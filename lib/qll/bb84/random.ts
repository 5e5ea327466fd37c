import { randomFillSync } from 'node:crypto'

/** Fills `bytes` with randomness: the system's generator by default, a seeded one in a test that must repeat. */
export type RandomFill = (bytes: Uint8Array) => void

/** Fresh bytes of the system's generator. */
export const systemRandom: RandomFill = bytes => void randomFillSync(bytes)

/**
 * A fast generator (xoshiro128** of Blackman and Vigna) for what is not secret: shuffles that both sides compute from one
 * public seed, and the dice of the simulated physics. Never for key bits.
 */
export class SeededRandom {
  #a: number
  #b: number
  #c: number
  #d: number

  /** @param seed 16 bytes, not all zero */
  constructor(seed: Uint8Array) {
    const words = new DataView(seed.buffer, seed.byteOffset, 16)
    this.#a = words.getInt32(0)
    this.#b = words.getInt32(4)
    this.#c = words.getInt32(8)
    this.#d = words.getInt32(12)
    if ((this.#a | this.#b | this.#c | this.#d) === 0) this.#a = 1
  }

  /** A generator of the stream that `number` names, to repeat a run. */
  static of(number: number): SeededRandom {
    const seed = new Uint8Array(16)
    new DataView(seed.buffer).setFloat64(0, number)
    seed[15] = 1
    const random = new SeededRandom(seed)
    // A seed of few set bits needs a while to spread.
    for (let i = 0; i < 32; i++) random.uint32()
    return random
  }

  /** A uniform integer from 0 to 2^32 - 1. */
  uint32(): number {
    const scrambled = Math.imul(this.#b, 5)
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9)
    const t = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= t
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result >>> 0
  }

  /** An integer from 0 to `bound` - 1, uniform but for a share of `bound` / 2^32. */
  below(bound: number): number {
    return Math.floor((this.uint32() * bound) / 4294967296)
  }

  /** A uniform number from 0 (included) to 1 (excluded), with 53 random bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 67108864 + (this.uint32() >>> 6)) / 9007199254740992
  }

  /** Fills `bytes`, as a `RandomFill` does. */
  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.byteLength; i += 4) {
      const word = this.uint32()
      for (let j = i; j < i + 4 && j < bytes.byteLength; j++) bytes[j] = word >>> (8 * (j - i))
    }
  }
}
