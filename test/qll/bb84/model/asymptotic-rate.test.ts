import { expect } from 'chai'
import {
  asymptoticRate,
  asymptoticRateBps,
  exactSinglePhotons,
  maximumLengthKm,
  vacuumWeakBounds,
} from '../../../../lib/qll/bb84/model/asymptotic-rate.ts'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { BB84_PRESETS, bb84Preset } from '../../../../lib/qll/bb84/model/presets.ts'

const { receiver, asymptotic: source } = BB84_PRESETS.gys
const gysAt = (lengthKm: number) => new ChannelModel(receiver, { lengthKm })
const infiniteAt = (lengthKm: number) => asymptoticRate(gysAt(lengthKm), source, exactSinglePhotons(gysAt(lengthKm)))
const vacuumWeakAt = (lengthKm: number) =>
  asymptoticRate(gysAt(lengthKm), source, vacuumWeakBounds(gysAt(lengthKm), source))

/** Worked out independently of this code (network specification, section 3.1). */
const TABLE = [
  { lengthKm: 0, infinite: 2.5546e-3, vacuumWeak: 2.4142e-3 },
  { lengthKm: 20, infinite: 9.6245e-4, vacuumWeak: 9.0777e-4 },
  { lengthKm: 50, infinite: 2.226e-4, vacuumWeak: 2.0962e-4 },
  { lengthKm: 80, infinite: 4.9899e-5, vacuumWeak: 4.6847e-5 },
  { lengthKm: 100, infinite: 1.7184e-5, vacuumWeak: 1.602e-5 },
  { lengthKm: 120, infinite: 4.8146e-6, vacuumWeak: 4.3686e-6 },
  { lengthKm: 140, infinite: 2.4647e-7, vacuumWeak: 7.378e-8 },
]

describe('asymptoticRate', () => {
  for (const { lengthKm, infinite, vacuumWeak } of TABLE) {
    it(`meets the table of the GYS set at ${lengthKm} km to 1e-4`, () => {
      expect(infiniteAt(lengthKm) / infinite).to.be.closeTo(1, 1e-4)
      expect(vacuumWeakAt(lengthKm) / vacuumWeak).to.be.closeTo(1, 1e-4)
    })
  }

  it('ends at the maximum lengths of the table, to 0.1 km', () => {
    expect(maximumLengthKm(infiniteAt)).to.be.closeTo(142.02, 0.1)
    expect(maximumLengthKm(vacuumWeakAt)).to.be.closeTo(140.62, 0.1)
  })

  it('has the error rates of the table', () => {
    for (const [lengthKm, percent] of [
      [0, 3.304],
      [100, 3.758],
      [140, 6.296],
    ] as const) {
      expect(gysAt(lengthKm).qber(source.signalIntensity) * 100).to.be.closeTo(percent, 5e-4)
    }
  })

  for (const [lossDb, mbps] of [
    [7, 2.2],
    [10, 1.09],
    [13, 0.4],
    [16, 0.12],
  ] as const) {
    it(`comes within 10 % of the ${mbps} Mb/s published for T12 at ${lossDb} dB`, () => {
      const { receiver, asymptotic } = BB84_PRESETS.t12
      const rate = asymptoticRateBps(new ChannelModel(receiver, { lossDb }), asymptotic) / 1e6
      expect(rate / mbps).to.be.within(0.9, 1.1)
    })
  }

  it('comes within 10 % of the rates that the other presets name', () => {
    const rateOf = (name: 'yuan-2018' | 'li-2023', span: { lossDb: number }) =>
      asymptoticRateBps(new ChannelModel(BB84_PRESETS[name].receiver, span), BB84_PRESETS[name].asymptotic) / 1e6
    expect(rateOf('yuan-2018', { lossDb: 2 }) / 13.72).to.be.within(0.9, 1.1)
    expect(rateOf('li-2023', { lossDb: 2 }) / 115.8).to.be.within(0.9, 1.1)
  })
})

describe('maximumLengthKm', () => {
  it('is 0 where there is no key at all', () => {
    expect(maximumLengthKm(() => -1)).to.equal(0)
  })
})

describe('bb84Preset', () => {
  it('names the presets that there are when asked for another', () => {
    expect(() => bb84Preset('gsy')).to.throw(/"gsy".*gys, t12/)
  })
})
