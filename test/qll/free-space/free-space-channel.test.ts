import { expect } from 'chai'
import type { Fading } from '../../../lib/qll/bb84/model/channel-model.ts'
import { ChannelModel } from '../../../lib/qll/bb84/model/channel-model.ts'
import { planBlock } from '../../../lib/qll/bb84/model/plan-block.ts'
import { beamLoss } from '../../../lib/qll/free-space/beam.ts'
import { fadingByQuantile, product, variance } from '../../../lib/qll/free-space/fading.ts'
import {
  type FreeSpaceParameters,
  freeSpaceChannel,
  freeSpaceSpan,
} from '../../../lib/qll/free-space/free-space-channel.ts'
import { skyYield } from '../../../lib/qll/free-space/sky.ts'
import { rytovVariance, turbulentFading } from '../../../lib/qll/free-space/turbulence.ts'

const receiver = {
  clockHz: 1e9,
  fibreLossDbPerKm: 0,
  receiverEfficiency: 0.1,
  backgroundYield: 2e-7,
  misalignment: 0.01,
}
const air: FreeSpaceParameters = {
  waistM: 0.02,
  divergenceUrad: 25,
  apertureM: 0.1,
  jitterUrad: 5,
  cn2: 1e-14,
  law: 'gamma-gamma',
  wavelengthNm: 1550,
  airLossDbPerKm: 0.5,
  sky: 'moonless night',
  fieldOfViewUrad: 100,
  filterNm: 0.5,
  gatePs: 500,
}
const point = { wavelengthNm: 1550, apertureM: 1e-3, lengthKm: 2 }

const total = (fading: Fading, of: (level: Fading[number]) => number) =>
  fading.reduce((sum, level) => sum + of(level), 0)

describe('turbulentFading', () => {
  it('has a mean of 1 and the scintillation index of its law, weak to saturated', () => {
    for (const cn2 of [1e-16, 1e-15, 1e-14, 1e-13, 1e-12]) {
      const rytov = rytovVariance(cn2, point)
      const large = 1 / Math.expm1((0.49 * rytov) / (1 + 1.11 * rytov ** 1.2) ** (7 / 6))
      const small = 1 / Math.expm1((0.51 * rytov) / (1 + 0.69 * rytov ** 1.2) ** (5 / 6))
      const index = 1 / large + 1 / small + 1 / (large * small)
      for (const law of ['log-normal', 'gamma-gamma'] as const) {
        const fading = turbulentFading({ cn2, law }, point)
        expect(total(fading, ({ share }) => share)).to.be.closeTo(1, 1e-9)
        expect(total(fading, ({ share, factor }) => share * factor)).to.be.closeTo(1, 1e-9)
        expect(variance(fading) / index, `${law} at Cn² ${cn2}`).to.be.within(0.96, 1.01)
      }
    }
  })

  it('is weak where the Rytov variance is, and less behind a large telescope', () => {
    const weak = turbulentFading({ cn2: 1e-15, law: 'gamma-gamma' }, point)
    expect(variance(weak)).to.be.closeTo(rytovVariance(1e-15, point), 0.002)
    const averaged = turbulentFading({ cn2: 1e-15, law: 'gamma-gamma' }, { ...point, apertureM: 0.2 })
    expect(variance(averaged)).to.be.below(variance(weak) / 5)
  })
})

describe('beamLoss', () => {
  it('collects what a Gaussian beam has within the telescope', () => {
    const { collected, fading } = beamLoss({ ...air, jitterUrad: 0 }, 3)
    const radiusM = Math.hypot(0.02, 0.075)
    expect(collected).to.be.closeTo(1 - Math.exp(-2 * (0.05 / radiusM) ** 2), 1e-12)
    expect(fading).to.deep.equal([{ share: 1, factor: 1 }])
  })

  it('loses and fades the more the worse it points, as a simulated wander does', () => {
    const still = beamLoss({ ...air, jitterUrad: 0 }, 3).collected
    const losses = [2, 10, 25].map(jitterUrad => beamLoss({ ...air, jitterUrad }, 3))
    const shares = losses.map(({ collected }) => collected)
    expect(shares).to.deep.equal([...shares].sort((a, b) => b - a))
    expect(shares[0]).to.be.below(still)
    expect(variance(losses[2]!.fading)).to.be.above(variance(losses[0]!.fading))
    // The share through the telescope at each place of a wander of 10 µrad, over its Rayleigh law, in a beam far wider
    // than the telescope, where the model has no error of its own.
    const wide = { ...air, divergenceUrad: 200, jitterUrad: 60 }
    const [radiusM, wanderM] = [Math.hypot(0.02, 0.6), 0.18]
    let mean = 0
    for (let at = 0; at < 4000; at++) {
      const r2 = -2 * wanderM ** 2 * Math.log(1 - (at + 0.5) / 4000)
      mean += (2 * (0.05 / radiusM) ** 2 * Math.exp((-2 * r2) / radiusM ** 2)) / 4000
    }
    expect(beamLoss(wide, 3).collected / mean).to.be.within(0.98, 1.02)
  })
})

describe('skyYield', () => {
  it('counts the photons of a power', () => {
    // 1e-15 W at 1550 nm are 7,803 photons a second; the view lets 1 W/(m² sr nm) through as that much.
    const view = { apertureM: 0.1, fieldOfViewUrad: 100, filterNm: 1, gatePs: 1e12, wavelengthNm: 1550 }
    const areaM2 = Math.PI * 0.05 ** 2
    const solidAngleSr = Math.PI * 5e-5 ** 2
    const radiance = 1e-15 / (areaM2 * solidAngleSr)
    expect(skyYield({ ...view, radiance, receiverEfficiency: 0.5 })).to.be.closeTo(7803 / 2, 1)
  })
})

describe('freeSpaceChannel', () => {
  const rate = (change: Partial<FreeSpaceParameters>, lengthKm = 2) =>
    planBlock(freeSpaceChannel(receiver, { ...air, ...change }, { lengthKm }), { keyBits: 2 ** 18 }).rateBps

  it('yields less by day than by night, and nothing against a bright haze through a wide filter', () => {
    const [night, moon, day] = (['moonless night', 'full moon', 'clear day'] as const).map(sky => rate({ sky }))
    expect(moon)
      .to.be.below(night!)
      .and.above(night! * 0.95)
    expect(day)
      .to.be.below(night! * 0.95)
      .and.above(0)
    expect(rate({ sky: 'hazy day', filterNm: 10 })).to.equal(0)
  })

  it('yields less over longer paths, in worse air, in a wider beam, and by a worse hand', () => {
    expect(rate({}, 5)).to.be.below(rate({}, 2))
    expect(rate({ airLossDbPerKm: 4 })).to.be.below(rate({}))
    expect(rate({ divergenceUrad: 60 })).to.be.below(rate({}))
    expect(rate({ jitterUrad: 20 })).to.be.below(rate({}))
  })

  it('hardly feels flicker alone by night, for clicks are nearly linear in faint light', () => {
    const [calm, stormy] = [1e-17, 1e-13].map(cn2 => rate({ cn2 }, 5))
    expect(stormy! / calm!).to.be.within(0.98, 1.02)
  })

  it('adds up its losses', () => {
    const span = freeSpaceSpan(air, { lengthKm: 3, receiverEfficiency: 0.1 })
    expect(span.lossDb).to.be.closeTo(1.5 - 10 * Math.log10(beamLoss(air, 3).collected), 1e-9)
  })
})

describe('ChannelModel with fading', () => {
  it('clicks as the mean over the levels does', () => {
    const fading = product(
      fadingByQuantile(u => u ** 0.5),
      turbulentFading(air, { ...point, lengthKm: 5 }),
    )
    const levels = fading.map(({ share, factor }) => ({
      share,
      model: new ChannelModel({ ...receiver, receiverEfficiency: 0.1 * factor }, { lossDb: 3 }),
    }))
    const faded = new ChannelModel(receiver, { lossDb: 3, fading })
    for (const intensity of [0.1, 0.5]) {
      const gain = levels.reduce((sum, { share, model }) => sum + share * model.gain(intensity), 0)
      const errors = levels.reduce((sum, { share, model }) => sum + share * model.errorGain(intensity), 0)
      expect(faded.gain(intensity)).to.be.closeTo(gain, 1e-12)
      expect(faded.errorGain(intensity)).to.be.closeTo(errors, 1e-12)
    }
  })

  it('refuses levels that are no distribution around 1', () => {
    const refused = (fading: Fading) => () => new ChannelModel(receiver, { lossDb: 3, fading })
    expect(refused([{ share: 0.5, factor: 1 }])).to.throw(/add up to 1/)
    expect(refused([{ share: 1, factor: 2 }])).to.throw(/mean factor must be 1/)
  })
})
