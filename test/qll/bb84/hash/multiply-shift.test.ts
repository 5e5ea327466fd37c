import { expect } from 'chai'
import { MultiplyShift, multiplyShiftSeedBytes } from '../../../../lib/qll/bb84/hash/multiply-shift.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Uint32Array.from({ length: bytes.byteLength / 4 }, (_, i) => view.getUint32(4 * i, true))
}

/** The definition, in whole numbers: the upper bits of a·x + b modulo 2^(n + ℓ). */
function naive(input: Uint8Array, seed: Uint8Array, outputBytes: number): bigint {
  const [n, l] = [BigInt(8 * input.byteLength), BigInt(8 * outputBytes)]
  const factorBytes = input.byteLength + outputBytes
  const factor = numberOf(seed.subarray(0, factorBytes))
  const offset = numberOf(seed.subarray(factorBytes)) << (n - BigInt(8 * (seed.byteLength - factorBytes - outputBytes)))
  return ((factor * numberOf(input) + offset) & ((1n << (n + l)) - 1n)) >> n
}

function bytesOf(random: SeededRandom, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  random.fill(bytes)
  return bytes
}

describe('MultiplyShift', () => {
  const hash = new MultiplyShift()

  it('equals the definition on random inputs of many sizes, zeros and ones among them', () => {
    const random = SeededRandom.of(6)
    for (let i = 0; i < 600; i++) {
      const words = 1 + random.below(1 + random.below(200))
      const outputBytes = 1 + random.below(4 * words)
      const input = bytesOf(random, 4 * words)
      if (i % 10 < 2) input.fill(i % 10 === 0 ? 0 : 0xff)
      const seed = bytesOf(random, multiplyShiftSeedBytes(words, outputBytes))
      if (i % 7 === 0) seed.fill(0xff)
      const out = hash.hash(wordsOf(input), seed, outputBytes)
      expect(numberOf(out), `case ${i}`).to.equal(naive(input, seed, outputBytes))
    }
  })

  it('equals the definition on a block of a million bits', () => {
    const random = SeededRandom.of(7)
    const input = bytesOf(random, 131_072)
    const seed = bytesOf(random, multiplyShiftSeedBytes(32_768, 52_000))
    const fromHex = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
    const [n, l] = [1_048_576n, 416_000n]
    const offset = fromHex(seed.subarray(183_072)) << (n - 1024n)
    const expected = ((fromHex(seed.subarray(0, 183_072)) * fromHex(input) + offset) & ((1n << (n + l)) - 1n)) >> n
    expect(fromHex(hash.hash(wordsOf(input), seed, 52_000))).to.equal(expected)
  })

  it('lets two inputs collide as often as a random function would, whatever their difference', () => {
    // 2-universality of an 8-bit hash of 32-bit inputs: collisions of fixed pairs over many seeds.
    const random = SeededRandom.of(8)
    const pairs = [
      [0, 1],
      [0, 0x80000000],
      [0xffffffff, 0],
      [0x12345678, 0x12345679],
      [0x55555555, 0xaaaaaaaa],
    ] as const
    const seeds = 20_000
    const collisions = pairs.map(() => 0)
    for (let i = 0; i < seeds; i++) {
      const seed = bytesOf(random, multiplyShiftSeedBytes(1, 1))
      for (const [at, [x, y]] of pairs.entries()) {
        const [hx, hy] = [x, y].map(input => hash.hash(Uint32Array.of(input), seed, 1)[0])
        if (hx === hy) collisions[at]!++
      }
    }
    const expected = seeds / 256
    for (const count of collisions) expect(count).to.be.within(expected - 45, expected + 45)
  })

  it('spreads each pair of inputs evenly over all pairs of outputs', () => {
    // Strong universality, on the upper two bits of the hash: chi-squared with 15 degrees of freedom, p = 1e-6 at 56.
    const random = SeededRandom.of(9)
    const cells = new Float64Array(16)
    const seeds = 16_000
    for (let i = 0; i < seeds; i++) {
      const seed = bytesOf(random, multiplyShiftSeedBytes(1, 1))
      const [hx, hy] = [7, 8].map(input => hash.hash(Uint32Array.of(input), seed, 1)[0]! >>> 6)
      cells[4 * hx! + hy!]!++
    }
    const chiSquared = cells.reduce((sum, count) => sum + (count - seeds / 16) ** 2 / (seeds / 16), 0)
    expect(chiSquared).to.be.below(56)
  })

  it('refuses a seed of another length', () => {
    expect(() => hash.hash(new Uint32Array(4), new Uint8Array(10), 3)).to.throw(/seed must have \d+ bytes, not 10/)
    expect(() => hash.hash(new Uint32Array(4), new Uint8Array(10), 0)).to.throw(/at least one byte/)
  })
})
