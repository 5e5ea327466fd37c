import { expect } from 'chai'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { expectedBlock, pulsesFor } from '../../../../lib/qll/bb84/model/expected-block.ts'
import { BB84_PRESETS } from '../../../../lib/qll/bb84/model/presets.ts'
import { binomial } from '../../../../lib/qll/bb84/photons/binomial.ts'
import { type PhotonBlock, PhotonChannel } from '../../../../lib/qll/bb84/photons/photon-channel.ts'
import { createPhotonPair } from '../../../../lib/qll/bb84/photons/photon-pair.ts'
import {
  decodeRecords,
  encodeRecords,
  STATE_BIT,
  STATE_CHECK_BASIS,
  STATE_INTENSITY_SHIFT,
} from '../../../../lib/qll/bb84/photons/records.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'

const { receiver, protocol } = BB84_PRESETS.t12

function transmit(model: Partial<typeof receiver & { deadTimeNs: number }>, keyBits: number, interceptFraction = 0) {
  const channel = new ChannelModel({ ...receiver, ...model }, { lossDb: 7, interceptFraction })
  const random = SeededRandom.of(21)
  const pulses = Math.round(pulsesFor(channel, protocol, keyBits))
  const block = new PhotonChannel({ channel, protocol, random: bytes => random.fill(bytes) }).transmit(pulses)
  return { block, expected: expectedBlock(channel, protocol, pulses), pulses }
}

/** Clicks in which both used the basis, by intensity, and wrong ones among them. */
function tally({ prepared, detected }: PhotonBlock, basis: number) {
  const [counts, errors] = [
    [0, 0, 0],
    [0, 0, 0],
  ]
  for (const [at, sent] of prepared.states.entries()) {
    const seen = detected.states[at]!
    if ((sent & STATE_CHECK_BASIS) !== basis || (seen & STATE_CHECK_BASIS) !== basis) continue
    counts![sent >>> STATE_INTENSITY_SHIFT]!++
    if (((sent ^ seen) & STATE_BIT) !== 0) errors![sent >>> STATE_INTENSITY_SHIFT]!++
  }
  return { counts: counts!, errors: errors! }
}

/** Within five standard deviations of a Poisson count. */
function expectNear(count: number, mean: number): void {
  expect(count).to.be.within(mean - 5 * Math.sqrt(mean) - 3, mean + 5 * Math.sqrt(mean) + 3)
}

describe('PhotonChannel', () => {
  it('draws the clicks and errors of every class that the model expects', () => {
    const { block, expected } = transmit({}, 200_000)
    const key = tally(block, 0)
    const check = tally(block, STATE_CHECK_BASIS)
    for (const k of [0, 1, 2] as const) {
      expectNear(key.counts[k]!, expected.keyCounts[k])
      expectNear(key.errors[k]!, expected.keyErrors[k])
      expectNear(check.counts[k]!, expected.checkCounts[k])
      expectNear(check.errors[k]!, expected.checkErrors[k])
    }
  })

  it('draws counts that scatter as binomial ones do', () => {
    const counts = Array.from({ length: 200 }, (_, run) => {
      const channel = new ChannelModel(receiver, { lossDb: 7 })
      const random = SeededRandom.of(1000 + run)
      return new PhotonChannel({ channel, protocol, random: bytes => random.fill(bytes) }).transmit(200_000).prepared
        .gaps.length
    })
    const mean = counts.reduce((sum, count) => sum + count) / counts.length
    const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / (counts.length - 1)
    // The ratio of variance and mean of a binomial count of rare events, with the scatter of 200 draws.
    expect(variance / mean).to.be.within(0.6, 1.5)
  })

  it('gives both sides the same pulses, spread over the block in order', () => {
    const { block, pulses } = transmit({}, 50_000)
    const { prepared, detected } = block
    expect(detected.gaps).to.deep.equal(prepared.gaps)
    expect(prepared.gaps.every(gap => gap >= 1)).to.equal(true)
    const last = prepared.gaps.reduce((sum, gap) => sum + gap, 0)
    expect(last).to.be.within(pulses * 0.99, pulses)
    const middle = prepared.gaps.subarray(0, prepared.gaps.length / 2).reduce((sum, gap) => sum + gap, 0)
    expect(middle / pulses).to.be.closeTo(0.5, 0.02)
  })

  it('leaves a coin to Bob where the bases differ', () => {
    const { block } = transmit({}, 100_000)
    let [unlike, differing] = [0, 0]
    for (const [at, sent] of block.prepared.states.entries()) {
      const seen = block.detected.states[at]!
      if (((sent ^ seen) & STATE_CHECK_BASIS) === 0) continue
      unlike++
      differing += (sent ^ seen) & STATE_BIT
    }
    expect(differing / unlike).to.be.closeTo(0.5, 0.01)
  })

  it('keeps clicks a dead time apart, and thins them as the model says', () => {
    const { block, expected } = transmit({ deadTimeNs: 200 }, 100_000)
    expect(block.prepared.gaps.every(gap => gap > 200)).to.equal(true)
    expectNear(tally(block, 0).counts[0]!, expected.keyCounts[0])
  })

  it('raises the error rate by p/4 under intercept-resend, and keeps the counts', () => {
    const free = tally(transmit({}, 200_000).block, 0)
    const tapped = tally(transmit({}, 200_000, 0.2).block, 0)
    const rate = ({ counts, errors }: typeof free) => errors[0]! / counts[0]!
    expect(rate(tapped) - rate(free)).to.be.closeTo(0.05, 0.004)
    expectNear(tapped.counts[0]!, free.counts[0]!)
  })
})

describe('createPhotonPair', () => {
  it('gives both sides every block once, and drops what a slow side does not fetch', async () => {
    const channel = new ChannelModel(receiver, { lossDb: 7 })
    const { alice, bob } = createPhotonPair(new PhotonChannel({ channel, protocol }), { pulses: 10_000 })
    expect((await alice.next()).block).to.equal(0n)
    expect((await bob.next()).block).to.equal(0n)
    for (const block of [1n, 2n, 3n, 4n]) expect((await bob.next()).block).to.equal(block)
    expect((await alice.next()).block).to.equal(3n)
  })
})

describe('encodeRecords', () => {
  it('is undone by decodeRecords', () => {
    const { prepared } = transmit({}, 2000).block
    expect(decodeRecords(encodeRecords(prepared))).to.deep.equal(prepared)
  })

  it('is refused when it is cut short', () => {
    const bytes = encodeRecords(transmit({}, 2000).block.prepared)
    expect(() => decodeRecords(bytes.subarray(1))).to.throw()
    expect(() => decodeRecords(bytes.subarray(0, bytes.length - 1))).to.throw(/cut short or too long/)
  })
})

describe('binomial', () => {
  for (const [trials, chance] of [
    [30, 0.1],
    [40, 0.9],
    [1000, 0.3],
    [1e9, 1e-8],
    [1e10, 0.005],
  ] as const) {
    it(`has the mean and the variance of ${trials} trials at ${chance}`, () => {
      const random = SeededRandom.of(22)
      const draws = Array.from({ length: 20_000 }, () => binomial(random, trials, chance))
      const mean = draws.reduce((sum, draw) => sum + draw) / draws.length
      const variance = draws.reduce((sum, draw) => sum + (draw - mean) ** 2, 0) / draws.length
      const expected = trials * chance * (1 - chance)
      expect(Math.abs(mean - trials * chance)).to.be.below(5 * Math.sqrt(expected / draws.length))
      expect(variance / expected).to.be.closeTo(1, 0.06)
    })
  }

  it('gives nothing without chance or trials, and all with certainty', () => {
    const random = SeededRandom.of(23)
    expect([binomial(random, 0, 0.5), binomial(random, 100, 0), binomial(random, 100, 1)]).to.deep.equal([0, 0, 100])
  })

  it('has the distribution of three coins', () => {
    const random = SeededRandom.of(24)
    const seen = [0, 0, 0, 0]
    for (let i = 0; i < 80_000; i++) seen[binomial(random, 3, 0.5)]!++
    for (const [successes, share] of [1, 3, 3, 1].entries())
      expect(seen[successes]! / 80_000).to.be.closeTo(share / 8, 0.006)
  })
})
