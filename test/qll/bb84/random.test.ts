import { expect } from 'chai'
import { SeededRandom, systemRandom } from '../../../lib/qll/bb84/random.ts'

describe('SeededRandom', () => {
  it('repeats itself from the same seed, and not from another', () => {
    const streams = [1, 1, 2].map(number => {
      const random = SeededRandom.of(number)
      return Array.from({ length: 20 }, () => random.uint32()).join()
    })
    expect(streams[0]).to.equal(streams[1])
    expect(streams[0]).to.not.equal(streams[2])
  })

  it('gives the first numbers of xoshiro128** from the state 1, 2, 3, 4', () => {
    const seed = Buffer.alloc(16)
    for (let i = 0; i < 4; i++) seed.writeUInt32BE(i + 1, 4 * i)
    const random = new SeededRandom(seed)
    expect(Array.from({ length: 4 }, () => random.uint32())).to.deep.equal([11520, 0, 5927040, 70819200])
  })

  it('does not get stuck at an empty seed', () => {
    const random = new SeededRandom(new Uint8Array(16))
    expect(new Set(Array.from({ length: 100 }, () => random.uint32())).size).to.be.above(90)
  })

  it('draws evenly below a bound, and from 0 to 1', () => {
    const random = SeededRandom.of(5)
    const counts = new Float64Array(7)
    let sum = 0
    for (let i = 0; i < 70_000; i++) {
      counts[random.below(7)]!++
      sum += random.uniform()
    }
    for (const count of counts) expect(count).to.be.within(9_500, 10_500)
    expect(sum / 70_000).to.be.closeTo(0.5, 0.01)
  })

  it('fills any number of bytes', () => {
    for (const size of [0, 1, 3, 4, 5, 17]) {
      const bytes = new Uint8Array(size)
      SeededRandom.of(6).fill(bytes)
      expect(bytes.length).to.equal(size)
    }
    const bytes = new Uint8Array(4096)
    SeededRandom.of(6).fill(bytes)
    expect(new Set(bytes).size).to.be.above(250)
  })
})

describe('systemRandom', () => {
  it('fills bytes afresh each time', () => {
    const [a, b] = [new Uint8Array(16), new Uint8Array(16)]
    systemRandom(a)
    systemRandom(b)
    expect(a).to.not.deep.equal(b)
  })
})
