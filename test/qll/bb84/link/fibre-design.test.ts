import { expect } from 'chai'
import { LINK_PRESETS } from '../../../../lib/config/link-config.ts'
import { designFibre } from '../../../../lib/qll/bb84/link/fibre-design.ts'
import { BB84_PRESETS } from '../../../../lib/qll/bb84/model/presets.ts'

const VECTOR = {
  intensities: [0.562, 0.25, 0],
  probabilities: [0.299, 0.653, 0.048],
  keyBasisProbability: 0.776,
}

describe('designFibre', () => {
  it('gives the same choices wherever it runs: the two ends of a link compare them to the last digit', () => {
    const { protocol, keyBits } = designFibre({ preset: 'yuan-2018', distanceKm: 10, keyBits: 2 ** 18 })
    expect(keyBits).to.equal(2 ** 18)
    expect(protocol).to.deep.equal(VECTOR)
  })

  it('has the presets that a configuration can name', () => {
    expect(LINK_PRESETS.bb84).to.deep.equal(Object.keys(BB84_PRESETS))
  })

  it('refuses a preset that there is not, naming those that there are', () => {
    expect(() => designFibre({ preset: 'x', distanceKm: 1, keyBits: 2 ** 18 })).to.throw(/gys, t12, yuan-2018, li-2023/)
  })
})
