import { expect } from 'chai'
import {
  VERIFICATION_SEED_BYTES,
  verificationBound,
  verificationTag,
} from '../../../../lib/qll/bb84/hash/verification.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'

function seedOf(random: SeededRandom): Uint8Array {
  const seed = new Uint8Array(VERIFICATION_SEED_BYTES)
  random.fill(seed)
  return seed
}

describe('verificationTag', () => {
  const random = SeededRandom.of(41)
  const words = Uint32Array.from({ length: 1000 }, () => random.uint32())

  it('is the same for the same key and seed, and leaves the key as it was', () => {
    const seed = seedOf(random)
    const before = words.slice()
    expect(verificationTag(words, seed)).to.deep.equal(verificationTag(words.slice(), seed))
    expect(words).to.deep.equal(before)
  })

  it('differs for keys that differ in one bit, wherever it is', () => {
    const seed = seedOf(random)
    const tag = Buffer.from(verificationTag(words, seed))
    for (let i = 0; i < 200; i++) {
      const other = words.slice()
      other[random.below(1000)]! ^= 1 << random.below(32)
      expect(tag.equals(verificationTag(other, seed))).to.equal(false)
    }
  })

  it('spreads over its bits', () => {
    const ones = new Float64Array(64)
    for (let i = 0; i < 400; i++) {
      const tag = verificationTag(words, seedOf(random))
      for (let bit = 0; bit < 64; bit++) ones[bit]! += (tag[bit >>> 3]! >>> (bit & 7)) & 1
    }
    for (const count of ones) expect(count).to.be.within(145, 255)
  })

  it('is bounded near 2^-64', () => {
    expect(verificationBound(32_768)).to.be.within(2 ** -64, 2 ** -63)
  })
})
