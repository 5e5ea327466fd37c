import { expect } from 'chai'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { clicksPerPulse, expectedBlock, pulsesFor } from '../../../../lib/qll/bb84/model/expected-block.ts'
import { BB84_PRESETS } from '../../../../lib/qll/bb84/model/presets.ts'

const { receiver, protocol } = BB84_PRESETS.t12

describe('ChannelModel', () => {
  it('raises the error rate by a quarter of the share that is intercepted and resent', () => {
    const aligned = { ...receiver, misalignment: 0, backgroundYield: 0 }
    for (const p of [0, 0.1, 0.4, 1]) {
      const channel = new ChannelModel(aligned, { lengthKm: 20, interceptFraction: p })
      expect(channel.qber(0.4)).to.be.closeTo(p / 4, 1e-12)
    }
    const [free, tapped] = [0, 0.2].map(p =>
      new ChannelModel(receiver, { lossDb: 7, interceptFraction: p }).qber(0.425),
    )
    expect(tapped! - free!).to.be.closeTo(0.05, 0.002)
  })

  it('leaves the gain to an eavesdropper who resends', () => {
    const gain = (interceptFraction: number) => new ChannelModel(receiver, { lossDb: 7, interceptFraction }).gain(0.425)
    expect(gain(1)).to.equal(gain(0))
  })

  it('loses the same over a length and over its loss', () => {
    const byLength = new ChannelModel(receiver, { lengthKm: 35 })
    expect(byLength.transmittance).to.be.closeTo(new ChannelModel(receiver, { lossDb: 7 }).transmittance, 1e-15)
  })

  it('lets no more than one click through in each dead time', () => {
    const blind = new ChannelModel({ ...receiver, deadTimeNs: 1000 }, { lossDb: 0 })
    const perSecond = clicksPerPulse(blind, protocol) * receiver.clockHz
    expect(perSecond).to.be.below(1e6)
    expect(perSecond).to.be.above(0.9e6)
  })

  it('counts after-pulses as clicks that are wrong half of the time', () => {
    const ringing = new ChannelModel(
      { ...receiver, backgroundYield: 0, misalignment: 0, afterPulse: 0.04 },
      { lossDb: 7 },
    )
    expect(ringing.qber(0.4)).to.be.closeTo(0.02 / 1.04, 1e-12)
  })

  it('refuses shares beyond 0 to 1, naming them', () => {
    expect(() => new ChannelModel(receiver, { lengthKm: 1, interceptFraction: 1.2 })).to.throw(/interceptFraction/)
    expect(() => new ChannelModel(receiver, { lossDb: -1 })).to.throw(/loss/)
  })
})

describe('expectedBlock', () => {
  it('sifts as many bits as the pulses were reckoned for', () => {
    const channel = new ChannelModel({ ...receiver, deadTimeNs: 50 }, { lossDb: 7 })
    const block = expectedBlock(channel, protocol, pulsesFor(channel, protocol, 1e6))
    expect(block.keyCounts.reduce((sum, count) => sum + count)).to.be.closeTo(1e6, 1e-3)
  })
})
