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

  it('falls with launch power, bandwidth and length on a whole grid, near to the shares of the specification', () => {
    const lengths = [10, 25, 50, 75]
    const share = (lengthKm: number, launchPowerDbm: number, filterNm: number) =>
      rateWith(lengthKm, { launchPowerDbm, filterNm }) / rateWith(lengthKm)
    const falls = (values: number[]) => expect(values).to.deep.equal([...values].sort((a, b) => b - a))
    const [powers, filters] = [
      [-20, -10, -5, 0, 3],
      [0.05, 0.1, 0.2, 0.4, 0.8],
    ]
    for (const km of lengths) {
      for (const dbm of powers!) falls(filters!.map(nm => share(km, dbm, nm)))
      for (const nm of filters!) falls(powers!.map(dbm => share(km, dbm, nm)))
    }
    for (const dbm of powers!) for (const nm of filters!) falls(lengths.map(km => share(km, dbm, nm)))
    // Rates with light over rates in the dark, from the table of the network specification.
    const table: [dbm: number, nm: number, shares: number[]][] = [
      [-10, 0.1, [0.99, 0.975, 0.95, 0.925]],
      [0, 0.1, [0.903, 0.77, 0.571, 0.389]],
      [0, 0.8, [0.362, 0, 0, 0]],
    ]
    console.log(
      `      ${JSON.stringify({ ...receiver, ...source, ...light, scatteringPerKmNm: 2e-9, wavelengthNm: 1550 })}`,
    )
    for (const [dbm, nm, shares] of table) {
      const found = lengths.map(km => share(km, dbm, nm))
      const cells = found.map((value, at) => `${lengths[at]} km ${value.toFixed(3)} (${shares[at]})`)
      console.log(`      ${dbm} dBm, ${nm} nm: ${cells.join(', ')}`)
      for (const [at, value] of found.entries()) expect(value).to.be.closeTo(shares[at]!, 0.05)
    }
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
