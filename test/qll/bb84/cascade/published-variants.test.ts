import { expect } from 'chai'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'
import { publishedPoints, tryCascade } from '../../../helpers/cascade-trial.ts'
import { fisherExact, holm } from '../../../helpers/fisher-exact.ts'

/** One point of each kind of rules, the ones whose figures scatter least; `npm run soak -- cascade` does all 112. */
const POINTS = [
  { variant: 'original', errorRate: 0.05 },
  { variant: 'biconf', errorRate: 0.1 },
  { variant: 'yanetal', errorRate: 0.05 },
  { variant: 'option3', errorRate: 0.03 },
]

describe('PUBLISHED_VARIANTS', () => {
  const all = publishedPoints()

  it('has figures of 7 variants at 2 sizes and 8 error rates to be held against', () => {
    expect(all).to.have.length(112)
  })

  for (const { variant, errorRate } of POINTS) {
    it(`meets the efficiency and the messages of ${variant} at n = 10,000 and ${errorRate * 100} %`, () => {
      const point = all.find(one => one.variant === variant && one.sizeBits === 10_000 && one.errorRate === errorRate)!
      const frames = 100
      const trial = tryCascade(point, { frames, random: SeededRandom.of(1) })
      expect(trial.efficiency / point.efficiency).to.be.within(0.99, 1.01)
      expect(trial.messages / point.messages).to.be.within(0.8, 1.2)
      const published = Math.round(point.frameErrorRate * point.runs)
      expect(fisherExact(trial.frameErrors, frames, published, point.runs)).to.be.above(0.05 / POINTS.length)
    })
  }
})

describe('fisherExact', () => {
  it("gives the p-value of Fisher's tea tasting", () => {
    expect(fisherExact(3, 4, 1, 4)).to.be.closeTo(34 / 70, 1e-12)
    expect(fisherExact(4, 4, 0, 4)).to.be.closeTo(2 / 70, 1e-12)
  })

  it('is 1 where nothing can differ', () => {
    expect(fisherExact(0, 10, 0, 1000)).to.equal(1)
  })
})

describe('holm', () => {
  it('rejects as long as the next smallest p-value is below its share', () => {
    expect(holm([0.04, 0.001, 0.02, 0.5], 0.05)).to.deep.equal([false, true, false, false])
    expect(holm([0.01, 0.001, 0.02], 0.05)).to.deep.equal([true, true, true])
  })
})
