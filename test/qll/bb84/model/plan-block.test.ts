import { expect } from 'chai'
import { asymptoticRateBps } from '../../../../lib/qll/bb84/model/asymptotic-rate.ts'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { planBlock } from '../../../../lib/qll/bb84/model/plan-block.ts'
import { BB84_PRESETS } from '../../../../lib/qll/bb84/model/presets.ts'
import { agreeParameters } from '../../../../lib/qll/bb84/session/parameters.ts'

const { receiver, asymptotic } = BB84_PRESETS.t12

describe('planBlock', () => {
  it('yields the more key the longer the block, and less than the limit of long keys', () => {
    const channel = new ChannelModel(receiver, { lossDb: 7 })
    const rates = [2 ** 17, 2 ** 20, 2 ** 24].map(keyBits => planBlock(channel, { keyBits }).rateBps)
    expect(rates).to.deep.equal([...rates].sort((a, b) => a - b))
    expect(rates[1]).to.be.above(0.8e6)
    expect(rates[2]).to.be.below(asymptoticRateBps(channel, asymptotic))
  })

  it('comes to choices that a session accepts, and says how many pulses they take', () => {
    const channel = new ChannelModel(receiver, { lengthKm: 40 })
    const { protocol, pulses, qber } = planBlock(channel, { keyBits: 2 ** 20 })
    expect(agreeParameters({ protocol }).protocol).to.equal(protocol)
    expect(pulses).to.be.within(1e8, 1e9)
    expect(qber).to.be.within(0.01, 0.03)
  })

  it('expects nothing where there is no key to be had', () => {
    const plan = planBlock(new ChannelModel(receiver, { lossDb: 7, interceptFraction: 0.6 }), { keyBits: 2 ** 20 })
    expect(plan.secretBits).to.equal(0)
    expect(plan.rateBps).to.equal(0)
  })

  it('is at least as good as the presets for the blocks that those are made for', () => {
    for (const [name, span] of [
      ['t12', { lossDb: 7 }],
      ['li-2023', { lengthKm: 10 }],
      ['gys', { lengthKm: 50 }],
    ] as const) {
      const channel = new ChannelModel(BB84_PRESETS[name].receiver, span)
      const { rateBps, protocol } = planBlock(channel, { keyBits: 1e6 })
      expect(rateBps).to.be.above(0)
      const preset = BB84_PRESETS[name].protocol
      expect(preset.keyBasisProbability).to.be.closeTo(protocol.keyBasisProbability, 0.02)
      expect(preset.intensities[0]).to.be.closeTo(protocol.intensities[0], 0.05)
    }
  })
})
