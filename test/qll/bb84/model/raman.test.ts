import { expect } from 'chai'
import { asymptoticRateBps } from '../../../../lib/qll/bb84/model/asymptotic-rate.ts'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { type ClassicalLight, ramanYield } from '../../../../lib/qll/bb84/model/raman.ts'

// Parameters of the model table in the network specification, section 3.4.
const receiver = {
  clockHz: 1e9,
  fibreLossDbPerKm: 0.2,
  receiverEfficiency: 0.1,
  backgroundYield: 2e-6,
  misalignment: 0.01,
}
const source = { signalIntensity: 0.48, decoyIntensity: 0.05, siftingFactor: 1, correctionEfficiency: 1.16 }
const light: ClassicalLight = { launchPowerDbm: 0, direction: 'co', filterNm: 0.1, gatePs: 300 }

function rateWith(lengthKm: number, classical?: Partial<ClassicalLight>): number {
  const yieldOfLight = classical === undefined ? 0 : ramanYield({ ...light, ...classical }, { lengthKm, ...receiver })
  return asymptoticRateBps(new ChannelModel(receiver, { lengthKm, ramanYield: yieldOfLight }), source)
}

describe('ramanYield', () => {
  it('takes more of the rate the more power is launched, the wider the filter and the longer the fibre', () => {
    const share = (lengthKm: number, classical: Partial<ClassicalLight>) =>
      rateWith(lengthKm, classical) / rateWith(lengthKm)
    expect(share(25, { launchPowerDbm: -10 })).to.be.above(share(25, { launchPowerDbm: 0 }))
    expect(share(10, { filterNm: 0.1 })).to.be.above(share(10, { filterNm: 0.8 }))
    expect(share(10, {})).to.be.above(share(25, {}))
    expect(share(25, {})).to.be.above(share(50, {}))
  })

  it('has the shape of the model table: a tenth at 10 km with a narrow filter, nothing left at 25 km with a wide one', () => {
    expect(rateWith(10, {}) / rateWith(10)).to.be.within(0.88, 0.93)
    expect(rateWith(10, { launchPowerDbm: -10 }) / rateWith(10)).to.be.within(0.98, 1)
    expect(rateWith(25, { filterNm: 0.8 })).to.equal(0)
    expect(rateWith(75, {}) / rateWith(75)).to.be.below(0.5)
  })

  it('scatters more back than along, and as much of both over a lossless fibre', () => {
    const fibre = { lengthKm: 50, fibreLossDbPerKm: 0.2, receiverEfficiency: 0.1 }
    expect(ramanYield({ ...light, direction: 'counter' }, fibre)).to.be.above(ramanYield(light, fibre))
    const lossless = { ...fibre, fibreLossDbPerKm: 0 }
    expect(ramanYield({ ...light, direction: 'counter' }, lossless)).to.equal(ramanYield(light, lossless))
  })

  it('counts 1e-15 W of scattered light in a gate of 300 ps as the photons that it is', () => {
    // 1 mW · 2e-9 /(km·nm) · 0.5 km · 1e-3 nm = 1e-15 W, or 7,803 photons a second at 1550 nm.
    const dim = { ...light, filterNm: 1e-3 }
    const gate = ramanYield(dim, { lengthKm: 0.5, fibreLossDbPerKm: 0, receiverEfficiency: 1 })
    expect(gate).to.be.closeTo(7803 * 300e-12, 1e-9)
  })
})
