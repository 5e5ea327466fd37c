import { expect } from 'chai'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'
import { tryCascade } from '../../../helpers/cascade-trial.ts'

describe('FrontierSearch', () => {
  for (const errorRate of [0.01, 0.02, 0.03, 0.04, 0.05]) {
    it(`corrects frames of 65,536 bits with ${errorRate * 100} % of errors at an efficiency of at most 1.06`, () => {
      const trial = tryCascade(
        { variant: 'default', sizeBits: 65_536, errorRate },
        { frames: 12, random: SeededRandom.of(2) },
      )
      expect(trial.efficiency).to.be.within(1, 1.06)
      expect(trial.frameErrors).to.equal(0)
    })
  }

  it('corrects frames of any length and error rate', () => {
    const random = SeededRandom.of(3)
    for (const sizeBits of [1, 2, 31, 33, 100, 1000, 4097]) {
      for (const errorRate of [0, 0.001, 0.02, 0.11, 0.25, 0.5]) {
        const trial = tryCascade({ variant: 'default', sizeBits, errorRate }, { frames: 5, random })
        expect(trial.frameErrors, `${sizeBits} bits, ${errorRate}`).to.equal(0)
      }
    }
  })
})
