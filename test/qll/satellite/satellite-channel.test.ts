import { expect } from 'chai'
import { planBlock } from '../../../lib/qll/bb84/model/plan-block.ts'
import { passDurationS, sightingAt } from '../../../lib/qll/satellite/orbit.ts'
import { SATELLITE_PRESETS } from '../../../lib/qll/satellite/presets.ts'
import { passYieldBits, promisedBps } from '../../../lib/qll/satellite/promise.ts'
import { satelliteChannel } from '../../../lib/qll/satellite/satellite-channel.ts'
import { dailyPasses, satellitePath, usablePasses } from '../../../lib/qll/satellite/timetable.ts'

const { receiver, satellite, protocol } = SATELLITE_PRESETS['leo-2017']
const HOUR_MS = 3_600_000

describe('sightingAt', () => {
  it('sees a satellite in the zenith at its height, and at the horizon as far away as geometry says', () => {
    const overhead = sightingAt({ altitudeKm: 500, maximumElevationDeg: 90 }, 0)
    expect(overhead.rangeKm).to.be.closeTo(500, 1e-6)
    expect(overhead.elevationDeg).to.be.closeTo(90, 1e-4)
    const halfS = passDurationS({ altitudeKm: 500, maximumElevationDeg: 90 }, 0) / 2
    const setting = sightingAt({ altitudeKm: 500, maximumElevationDeg: 90 }, halfS)
    expect(setting.elevationDeg).to.be.closeTo(0, 1e-6)
    expect(setting.rangeKm).to.be.closeTo(Math.sqrt(6871 ** 2 - 6371 ** 2), 1e-3)
  })

  it('rises and sets alike, highest at its culmination', () => {
    const pass = { altitudeKm: 500, maximumElevationDeg: 60 }
    expect(sightingAt(pass, 0).elevationDeg).to.be.closeTo(60, 1e-9)
    expect(sightingAt(pass, -100)).to.deep.equal(sightingAt(pass, 100))
    expect(sightingAt(pass, 100).elevationDeg).to.be.below(60)
  })
})

describe('satelliteChannel', () => {
  const at = (elevationDeg: number) => {
    // The place on a pass through the zenith where the satellite stands so high.
    let [low, high] = [0, 400]
    for (let step = 0; step < 50; step++) {
      const middle = (low + high) / 2
      if (sightingAt({ altitudeKm: 500, maximumElevationDeg: 90 }, middle).elevationDeg > elevationDeg) low = middle
      else high = middle
    }
    return satelliteChannel(receiver, satellite, sightingAt({ altitudeKm: 500, maximumElevationDeg: 90 }, low))
  }

  it('loses more the lower the satellite stands, in light and in key', () => {
    const channels = [85, 60, 40, 25, 16].map(at)
    const light = channels.map(({ transmittance }) => transmittance)
    expect(light).to.deep.equal([...light].sort((a, b) => b - a))
    const rates = channels.map(channel => planBlock(channel, { keyBits: 2 ** 18 }).rateBps)
    expect(rates).to.deep.equal([...rates].sort((a, b) => b - a))
    expect(rates[0]).to.be.within(3_000, 30_000)
  })

  it('is as lossy as the published link: about 30 dB near 650 km and 40 dB near 1,200 km', () => {
    const lossDb = (rangeKm: number, elevationDeg: number) =>
      -10 * Math.log10(satelliteChannel(receiver, satellite, { rangeKm, elevationDeg }).transmittance)
    expect(lossDb(645, 48)).to.be.within(28, 33)
    expect(lossDb(1200, 20)).to.be.within(36, 42)
  })
})

describe('satellitePath', () => {
  it('is dark between passes, with the time of the next one, and bright within', () => {
    let nowMs = 0
    const passes = [
      { culminationMs: 6 * HOUR_MS, maximumElevationDeg: 70 },
      { culminationMs: 18 * HOUR_MS, maximumElevationDeg: 10 },
    ]
    const path = satellitePath(receiver, satellite, { passes, now: () => nowMs })
    const [pass, ...others] = usablePasses(satellite, passes)
    // The one that never rises above the smallest elevation is of no use.
    expect(others).to.deep.equal([])
    const dark = `No satellite in view until ${new Date(pass!.fromMs).toISOString()}`
    expect(path()).to.deep.equal({ dark, forMs: 60_000 })
    const gains = [pass!.fromMs, pass!.culminationMs, pass!.untilMs - 1000].map(atMs => {
      nowMs = atMs
      const lit = path()
      if (!('channel' in lit)) return 0
      expect(lit.forMs).to.be.at.most(1000).and.above(0)
      return lit.channel.gain(0.5)
    })
    expect(gains[1]).to.be.above(5 * gains[0]!)
    expect(gains[2]).to.be.closeTo(gains[0]!, gains[0]! * 0.01)
    nowMs = pass!.untilMs
    expect(path()).to.deep.equal({ dark: 'No pass is left in the timetable' })
  })

  it('refuses passes that overlap', () => {
    const passes = [1000, 61_000].map(culminationMs => ({ culminationMs, maximumElevationDeg: 80 }))
    expect(() => usablePasses(satellite, passes)).to.throw(/begins before the one before it ends/)
  })

  it('repeats daily passes', () => {
    const passes = dailyPasses([{ timeOfDayMs: HOUR_MS, maximumElevationDeg: 50 }], { fromMs: 30 * HOUR_MS, days: 2 })
    expect(passes.map(({ culminationMs }) => culminationMs / HOUR_MS)).to.deep.equal([25, 49])
  })
})

describe('passYieldBits', () => {
  it('gives hundreds of kilobits for a good pass, as was published, and less for a low one', () => {
    const [high, low] = [80, 30].map(maximumElevationDeg => {
      const [pass] = usablePasses(satellite, [{ culminationMs: 0, maximumElevationDeg }])
      return passYieldBits(receiver, satellite, { pass: pass!, protocol, keyBits: 2 ** 18 })
    })
    expect(high).to.be.within(3e5, 3e6)
    expect(low).to.be.below(high! / 3)
  })
})

describe('promisedBps', () => {
  const day = { capacityBits: 1e9, stockBits: 0, fromMs: 0, untilMs: 24 * HOUR_MS }

  it('promises nothing before the first pass without a stock, and what the stock lasts for with one', () => {
    const passes = [{ atMs: 12 * HOUR_MS, bits: 1e6 }]
    expect(promisedBps(passes, day)).to.be.closeTo(0, 1e-6)
    expect(promisedBps(passes, { ...day, stockBits: 1e6 })).to.be.closeTo(1e6 / (12 * 3600), 1e-6)
  })

  it('is the mean of what comes where no gap is too long, and no more than fits into the pool', () => {
    const passes = [0, 8, 16].map(hour => ({ atMs: hour * HOUR_MS, bits: 8e5 }))
    expect(promisedBps(passes, day)).to.be.closeTo(2.4e6 / 86_400, 1e-6)
    expect(promisedBps(passes, { ...day, capacityBits: 4e5 })).to.be.closeTo(4e5 / (8 * 3600), 1e-6)
  })
})
