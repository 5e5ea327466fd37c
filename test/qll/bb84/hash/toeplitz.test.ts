import { expect } from 'chai'
import { toeplitzHash } from '../../../../lib/qll/bb84/hash/toeplitz.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'

const bitOf = (words: Uint32Array, at: number) => (words[at >>> 5]! >>> (at & 31)) & 1

/** The definition, bit by bit. */
function naive(words: Uint32Array, seed: Uint32Array, outputBits: number): number[] {
  const n = words.length * 32
  return Array.from({ length: outputBits }, (_, j) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum ^= bitOf(words, i) & bitOf(seed, j - i + n - 1)
    return sum
  })
}

function randomWords(random: SeededRandom, length: number): Uint32Array {
  return Uint32Array.from({ length }, () => random.uint32())
}

describe('toeplitzHash', () => {
  it('equals the definition on random inputs', () => {
    const random = SeededRandom.of(10)
    for (let i = 0; i < 60; i++) {
      const words = randomWords(random, 1 + random.below(8))
      const outputBits = 1 + random.below(words.length * 32)
      const seed = randomWords(random, Math.ceil((words.length * 32 + outputBits - 1) / 32))
      const out = toeplitzHash(words, seed, outputBits)
      expect(Array.from({ length: outputBits }, (_, j) => bitOf(out, j))).to.deep.equal(naive(words, seed, outputBits))
    }
  })

  it('is linear', () => {
    const random = SeededRandom.of(11)
    const [x, y, seed] = [randomWords(random, 4), randomWords(random, 4), randomWords(random, 8)]
    const sum = toeplitzHash(
      x.map((word, i) => word ^ y[i]!),
      seed,
      100,
    )
    const [hx, hy] = [toeplitzHash(x, seed, 100), toeplitzHash(y, seed, 100)]
    expect([...sum]).to.deep.equal([...hx.map((word, i) => word ^ hy[i]!)])
  })

  it('lets fixed pairs collide as often as a random function would', () => {
    const random = SeededRandom.of(12)
    const seeds = 30_000
    let collisions = 0
    for (let i = 0; i < seeds; i++) {
      const seed = randomWords(random, 2)
      if (toeplitzHash(Uint32Array.of(0xdeadbeef), seed, 6)[0] === toeplitzHash(Uint32Array.of(1), seed, 6)[0])
        collisions++
    }
    expect(collisions).to.be.within(seeds / 64 - 110, seeds / 64 + 110)
  })

  it('refuses a seed that is too short', () => {
    expect(() => toeplitzHash(new Uint32Array(2), new Uint32Array(2), 2)).to.throw(/65 bits or more/)
  })
})
