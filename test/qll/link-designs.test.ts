import { expect } from 'chai'
import { LINK_PRESETS } from '../../lib/config/link-config.ts'
import { designFibre } from '../../lib/qll/bb84/link/fibre-design.ts'
import { evaluateProtocol } from '../../lib/qll/bb84/model/plan-block.ts'
import { BB84_PRESETS } from '../../lib/qll/bb84/model/presets.ts'
import { FREE_SPACE_PRESETS } from '../../lib/qll/free-space/presets.ts'
import { designFreeSpace, designSatellite, type LinkDesignOptions } from '../../lib/qll/link-designs.ts'
import { SATELLITE_PRESETS } from '../../lib/qll/satellite/presets.ts'

const keyBits = 2 ** 18
const rateBps = ({ channel, protocol }: Pick<LinkDesignOptions, 'channel' | 'protocol'>) =>
  evaluateProtocol(channel, protocol, { keyBits }).rateBps

describe('presets in a configuration', () => {
  it('are those that the link layer has', () => {
    expect(LINK_PRESETS).to.deep.equal({
      bb84: Object.keys(BB84_PRESETS),
      'free-space': Object.keys(FREE_SPACE_PRESETS),
      satellite: Object.keys(SATELLITE_PRESETS),
    })
  })
})

describe('designFibre', () => {
  it('loses rate to classical light, the more the stronger it is and the wider the filter', () => {
    const design = { preset: 't12', distanceKm: 15, keyBits }
    const rates = [{}, { classicalDbm: -6 }, { classicalDbm: 0 }, { classicalDbm: 0, filterNm: 0.15 }].map(light =>
      rateBps(designFibre({ ...design, ...light })),
    )
    expect(rates).to.deep.equal([...rates].sort((a, b) => b - a))
    expect(rates.at(-1)).to.be.below(rates[0]! * 0.9)
  })
})

describe('designFreeSpace', () => {
  it('yields key by night and by day, with the choices that fit the distance', () => {
    for (const preset of Object.keys(FREE_SPACE_PRESETS)) {
      const near = designFreeSpace({ preset, distanceKm: 0.5, keyBits })
      const far = designFreeSpace({ preset, distanceKm: 3, keyBits })
      expect(near.kind).to.equal('free-space')
      expect(rateBps(near)).to.be.above(rateBps(far)).and.above(1e6)
      expect(rateBps(far)).to.be.above(1e5)
    }
    expect(() => designFreeSpace({ preset: 'gys', distanceKm: 1, keyBits })).to.throw(/roofs-night, roofs-day/)
  })
})

describe('designSatellite', () => {
  const noon = Date.UTC(2026, 5, 1, 12)
  const at = (passes: { time: string; maximumElevationDeg: number }[], nowMs: number) =>
    designSatellite({ preset: 'leo-fast', passes, keyBits }, () => nowMs).path!()

  it('has light at the times of day that the passes have, in any year', () => {
    const passes = [
      { time: '02:30', maximumElevationDeg: 40 },
      { time: '14:15:30', maximumElevationDeg: 80 },
    ]
    expect(at(passes, noon))
      .to.have.property('dark')
      .that.matches(/until 2026-06-01T14:12:3\d/)
    for (const year of [2026, 2031]) {
      expect(at(passes, Date.UTC(year, 5, 1, 14, 15, 30))).to.have.property('channel')
      expect(at(passes, Date.UTC(year, 5, 2, 2, 30))).to.have.property('channel')
    }
  })

  it('refuses passes of which none is high enough', () => {
    expect(() => at([{ time: '12:00', maximumElevationDeg: 10 }], noon)).to.throw(/No pass rises above the 15°/)
  })
})
