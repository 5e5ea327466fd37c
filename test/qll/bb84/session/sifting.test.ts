import { expect } from 'chai'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { pulsesFor } from '../../../../lib/qll/bb84/model/expected-block.ts'
import { BB84_PRESETS } from '../../../../lib/qll/bb84/model/presets.ts'
import { PhotonChannel } from '../../../../lib/qll/bb84/photons/photon-channel.ts'
import { type PulseRecords, STATE_BIT, STATE_CHECK_BASIS } from '../../../../lib/qll/bb84/photons/records.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'
import { drawSample, estimateErrorRate, sampleErrors } from '../../../../lib/qll/bb84/session/sampling.ts'
import { announceClicks, keepSifted, type SiftedKey, Sifting } from '../../../../lib/qll/bb84/session/sifting.ts'

function blockOf(keyBits: number) {
  const { receiver, protocol } = BB84_PRESETS.t12
  const channel = new ChannelModel(receiver, { lossDb: 7 })
  const random = SeededRandom.of(31)
  const photons = new PhotonChannel({ channel, protocol, random: bytes => random.fill(bytes) })
  return photons.transmit(Math.round(pulsesFor(channel, protocol, keyBits)))
}

/** Bits of a key, as a list. */
const bitsOf = ({ words, sizeBits }: SiftedKey) =>
  Array.from({ length: sizeBits }, (_, i) => (words[i >>> 5]! >>> (i & 31)) & 1)

/** Bits of the clicks in which both used the key basis, click by click. */
function keyBits({ states }: PulseRecords, other: PulseRecords): number[] {
  return [...states]
    .filter((state, i) => ((state | other.states[i]!) & STATE_CHECK_BASIS) === 0)
    .map(state => state & STATE_BIT)
}

describe('Sifting', () => {
  const { prepared, detected } = blockOf(30_000)
  const clicks = detected.gaps.length

  it('keeps the bits of the clicks whose bases agree, at both sides', () => {
    const sifting = new Sifting(prepared)
    for (let from = 0; from < clicks; from += 9_999) {
      sifting.take(announceClicks(detected, from, Math.min(from + 9_999, clicks)))
    }
    expect(bitsOf(sifting.key)).to.deep.equal(keyBits(prepared, detected))
    expect(bitsOf(keepSifted(detected, sifting.keep))).to.deep.equal(keyBits(detected, prepared))
  })

  it('counts the check basis by intensity', () => {
    const sifting = new Sifting(prepared)
    sifting.take(announceClicks(detected, 0, clicks))
    const both = [...prepared.states].filter((state, i) => state & detected.states[i]! & STATE_CHECK_BASIS)
    const wrong = [...prepared.states].filter(
      (state, i) => state & detected.states[i]! & STATE_CHECK_BASIS && (state ^ detected.states[i]!) & STATE_BIT,
    )
    const byIntensity = (states: number[]) => [0, 1, 2].map(k => states.filter(state => state >>> 2 === k).length)
    expect(sifting.checkCounts).to.deep.equal(byIntensity(both))
    expect(sifting.checkErrors).to.deep.equal(byIntensity(wrong))
  })

  it("says nothing of Bob's bits in the key basis", () => {
    const flipped = Uint8Array.from(detected.states, state => (state & STATE_CHECK_BASIS ? state : state ^ STATE_BIT))
    const told = announceClicks({ ...detected, states: flipped }, 0, clicks)
    expect(told.equals(announceClicks(detected, 0, clicks))).to.equal(true)
  })

  it('finds clicks among records that did not click at the other side', () => {
    const some = { ...detected, gaps: Uint32Array.of(0, 0), states: detected.states.slice(0, 2) }
    some.gaps[0] = prepared.gaps[0]! + prepared.gaps[1]!
    some.gaps[1] = prepared.gaps[2]! + prepared.gaps[3]! + prepared.gaps[4]!
    some.states.fill(0)
    const sifting = new Sifting(prepared)
    sifting.take(announceClicks(some, 0, 2))
    const expected = [1, 4].filter(at => (prepared.states[at]! & STATE_CHECK_BASIS) === 0)
    expect(bitsOf(sifting.key)).to.deep.equal(expected.map(at => prepared.states[at]! & STATE_BIT))
  })

  it('carries gaps of any length', () => {
    for (const gap of [1, 127, 128, 16_383, 16_384, 2 ** 28, 2 ** 32 - 1]) {
      const one = { block: 0n, pulses: 2 ** 33, gaps: Uint32Array.of(gap), states: Uint8Array.of(1) }
      const sifting = new Sifting(one)
      sifting.take(announceClicks(one, 0, 1))
      expect(sifting.key.sizeBits).to.equal(1)
    }
  })

  it('refuses a click of a pulse that was not prepared', () => {
    const early = { ...detected, gaps: detected.gaps.slice() }
    early.gaps[0]!++
    expect(() => new Sifting(prepared).take(announceClicks(early, 0, 10))).to.throw(/not prepared/)
    const late = { ...detected, gaps: Uint32Array.of(2 ** 32 - 1, 1) }
    expect(() => new Sifting(prepared).take(announceClicks(late, 0, 2))).to.throw(/not prepared/)
  })

  it('refuses an announcement that is cut short, too long, or too large', () => {
    const message = announceClicks(detected, 0, 1000)
    for (const bad of [message.subarray(0, 3), message.subarray(0, 40), message.subarray(0, message.length - 1)]) {
      expect(() => new Sifting(prepared).take(bad))
        .to.throw()
        .with.property('code', 'ERR_QKD_PROTOCOL')
    }
    expect(() => new Sifting(prepared).take(Buffer.concat([message, Buffer.of(1)]))).to.throw(/malformed/)
    const many = Buffer.from(message)
    many.writeUInt32BE(2 ** 31, 0)
    expect(() => new Sifting(prepared).take(many)).to.throw(/malformed/)
  })

  it('refuses an answer that does not fit the clicks', () => {
    const sifting = new Sifting(prepared)
    sifting.take(announceClicks(detected, 0, clicks))
    expect(() => keepSifted(detected, sifting.keep.subarray(1))).to.throw(/bytes/)
    expect(() => keepSifted(detected, Buffer.concat([sifting.keep, Buffer.of(0)]))).to.throw(/bytes/)
  })
})

describe('drawSample', () => {
  const keyOf = (sizeBits: number, random: SeededRandom): SiftedKey => {
    const words = Uint32Array.from({ length: Math.ceil(sizeBits / 32) }, () => random.uint32())
    if (sizeBits % 32 !== 0) words[words.length - 1]! &= 2 ** (sizeBits % 32) - 1
    return { words, sizeBits, intensities: Uint8Array.from({ length: sizeBits }, (_, i) => i % 251) }
  }
  const seed = Uint8Array.from({ length: 16 }, (_, i) => i + 1)

  it('takes each drawn bit out of the key, and keeps every other one with its intensity', () => {
    const random = SeededRandom.of(32)
    const key = keyOf(1001, random)
    const labelled = bitsOf(key).map((bit, i) => [bit, i % 251].join())
    const { key: rest, sample } = drawSample(key, { seed, sampleBits: 100 })
    const kept = bitsOf(rest).map((bit, i) => [bit, rest.intensities![i]].join())
    expect(kept).to.have.length(901)
    for (const label of kept) labelled.splice(labelled.indexOf(label), 1)
    expect(labelled).to.have.length(100)
    const drawn = Array.from({ length: 100 }, (_, i) => (sample[i >>> 3]! >>> (i & 7)) & 1)
    expect(drawn.filter(bit => bit === 1)).to.have.length(labelled.filter(label => label.startsWith('1')).length)
  })

  it('draws the same places at both sides, so that samples differ where the keys do', () => {
    const random = SeededRandom.of(33)
    const alice = keyOf(5000, random)
    const bob = { words: alice.words.slice(), sizeBits: 5000 }
    for (let i = 0; i < 500; i++) bob.words[random.below(156)]! ^= 1 << random.below(32)
    const all = sampleErrors(new Uint8Array(alice.words.buffer), new Uint8Array(bob.words.buffer))
    const [a, b] = [alice, bob].map(key => drawSample(key, { seed, sampleBits: 1000 })) as [
      ReturnType<typeof drawSample>,
      ReturnType<typeof drawSample>,
    ]
    const theirs = bitsOf(b.key)
    const left = bitsOf(a.key).filter((bit, i) => bit !== theirs[i]).length
    expect(sampleErrors(a.sample, b.sample) + left).to.equal(all)
  })

  it('leaves no drawn bit behind the end of the key', () => {
    const { key } = drawSample(keyOf(320, SeededRandom.of(34)), { seed, sampleBits: 64 })
    expect(key.sizeBits).to.equal(256)
    expect([...key.words.subarray(8)]).to.deep.equal([0, 0])
  })
})

describe('estimateErrorRate', () => {
  it('is the interval of Serfling about the share in the sample', () => {
    const [n, k] = [100_000, 8192]
    const { rate, upper, lower } = estimateErrorRate(82, { sampleBits: k, restBits: n, epsilon: 1e-10 })
    const deviation = Math.sqrt(((n + k) * (k + 1) * Math.log(1e10)) / (2 * n * k * k))
    expect(rate).to.equal(82 / k)
    expect(upper).to.be.closeTo(82 / k + deviation, 1e-12)
    expect(lower).to.equal(0)
  })

  it('misses the rate of the rest no more often than it says', () => {
    const random = SeededRandom.of(35)
    let misses = 0
    for (let run = 0; run < 400; run++) {
      const words = Uint32Array.from({ length: 125 }, () => random.uint32() & random.uint32() & random.uint32())
      const { key, sample } = drawSample(
        { words, sizeBits: 4000 },
        { seed: Uint8Array.from({ length: 16 }, () => random.below(256)), sampleBits: 500 },
      )
      const errors = sampleErrors(sample, new Uint8Array(sample.length))
      const { upper, lower } = estimateErrorRate(errors, { sampleBits: 500, restBits: 3500, epsilon: 0.05 })
      const rest = bitsOf(key).reduce((sum, bit) => sum + bit, 0) / 3500
      if (rest > upper || rest < lower) misses++
    }
    expect(misses / 400).to.be.below(0.1)
  })
})
