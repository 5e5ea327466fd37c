import { expect } from 'chai'
import { meanBounds } from '../../../../lib/qll/bb84/model/concentration.ts'
import { binomial } from '../../../../lib/qll/bb84/photons/binomial.ts'
import { SeededRandom } from '../../../../lib/qll/bb84/random.ts'

describe('meanBounds', () => {
  it('solves n · D(seen || bound) = ln(1/ε) on either side', () => {
    const { lower, upper } = meanBounds(30, 1000, 1e-10)
    for (const bound of [lower / 1000, upper / 1000]) {
      const divergence = 0.03 * Math.log(0.03 / bound) + 0.97 * Math.log(0.97 / (1 - bound))
      expect(1000 * divergence).to.be.closeTo(Math.log(1e10), 1e-6)
    }
    expect(lower).to.be.below(30)
    expect(upper).to.be.above(30)
  })

  it('is never wider than the square root that it is weakened to', () => {
    for (const [seen, trials] of [
      [0, 50],
      [3, 1e6],
      [400, 1000],
      [500, 1000],
      [1e6, 1e6],
    ] as const) {
      const { lower, upper } = meanBounds(seen, trials, 1e-9)
      const root = Math.sqrt((trials / 2) * Math.log(1e9))
      expect(lower).to.be.at.least(Math.max(seen - root, 0) - 1e-6)
      expect(upper).to.be.at.most(Math.min(seen + root, trials) + 1e-6)
    }
  })

  it('misses the mean no more often than it says', () => {
    const random = SeededRandom.of(13)
    const runs = 20_000
    let [above, below] = [0, 0]
    for (let i = 0; i < runs; i++) {
      const { lower, upper } = meanBounds(binomial(random, 2000, 0.02), 2000, 0.05)
      if (lower > 40) above++
      if (upper < 40) below++
    }
    expect(above / runs).to.be.below(0.05)
    expect(below / runs).to.be.below(0.05)
    expect(above + below).to.be.above(0)
  })

  it('knows nothing of no trials, and everything at the ends', () => {
    expect(meanBounds(0, 0, 1e-3)).to.deep.equal({ lower: 0, upper: 0 })
    expect(meanBounds(0, 100, 1e-3).lower).to.equal(0)
    expect(meanBounds(100, 100, 1e-3).upper).to.equal(100)
  })
})
