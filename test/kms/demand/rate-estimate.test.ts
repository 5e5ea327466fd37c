import { expect } from 'chai'
import { normalQuantile, poissonQuantile } from '../../../lib/kms/demand/poisson.ts'
import { RateEstimate } from '../../../lib/kms/demand/rate-estimate.ts'
import { SeededRandom } from '../../../lib/qll/bb84/random.ts'

/** How many of a Poisson distribution of that mean, by counting exponential gaps. */
function poisson(random: SeededRandom, mean: number): number {
  const gap = () => -Math.log(1 - random.uniform())
  let count = 0
  let sum = gap()
  while (sum < mean) {
    count += 1
    sum += gap()
  }
  return count
}

function fed(counts: readonly number[], batch = 1): RateEstimate {
  const estimate = new RateEstimate()
  for (const cells of counts) estimate.endPeriod({ cells, squares: cells * batch, periodMs: 1000 })
  return estimate
}

describe('poissonQuantile', () => {
  it('leaves no more than the tail above it, and more above one less', () => {
    for (const mean of [0.1, 1, 6, 60, 199]) {
      for (const tail of [0.1, 1e-3, 1e-6]) {
        const above = (n: number) => {
          let term = Math.exp(-mean)
          let sum = 0
          for (let k = 0; k < n + 200; k += 1, term *= mean / k) if (k > n) sum += term
          return sum
        }
        const n = poissonQuantile(mean, tail)
        expect(above(n), `${mean} ${tail}`).to.be.at.most(tail * 1.000001)
        if (n > 0) expect(above(n - 1), `${mean} ${tail}`).to.be.above(tail * 0.999)
      }
    }
  })

  it('goes on without a leap where it changes its method, and is 0 for nothing', () => {
    for (const tail of [1e-3, 1e-8]) {
      expect(Math.abs(poissonQuantile(200.01, tail) - poissonQuantile(200, tail))).to.be.at.most(1)
    }
    expect(poissonQuantile(0, 1e-3)).to.equal(0)
    expect(normalQuantile(0.00135)).to.be.closeTo(3, 0.001)
  })
})

describe('RateEstimate', () => {
  it('comes to the mean and the variance of steady demand, within what it says of its own error', () => {
    const random = SeededRandom.of(11)
    let within = 0
    const estimate = new RateEstimate()
    for (let period = 0; period < 2_000; period += 1) {
      const cells = poisson(random, 20)
      estimate.endPeriod({ cells, squares: cells, periodMs: 1000 })
      if (Math.abs(estimate.perSecond - 20) <= 3 * Math.sqrt(estimate.errorVariance)) within += 1
    }
    expect(estimate.trend).to.equal('steady')
    expect(within).to.be.above(1_950)
    expect(estimate.dispersion).to.be.within(1, 1.6)
  })

  it('takes a leap and a drop for what they are within a period, and chance for none', () => {
    const steady = Array.from({ length: 20 }, (_, n) => 18 + (n % 5))
    const risen = fed([...steady, 200])
    expect(risen.trend).to.equal('changing')
    const dropped = fed([...steady, 200, 200, 200, 200, 200, 200, 20])
    expect(dropped.perSecond).to.be.closeTo(20, 1)
    expect(fed([...steady, 34]).trend).to.equal('steady')
  })

  it('follows a ramp within two periods of its slope', () => {
    const ramp = Array.from({ length: 300 }, (_, n) => 20 + n)
    expect(fed(ramp).perSecond).to.be.within(319 - 4, 319)
  })

  it('forecasts varied demand one period ahead as well as the last value does, and better where it is noise', () => {
    const random = SeededRandom.of(5)
    const estimate = new RateEstimate()
    let [error, lastError, sum, last] = [0, 0, 0, 100]
    for (let period = 0; period < 3_000; period += 1) {
      const cells = poisson(random, 100 * (1.2 + Math.sin(period / 150)))
      if (period > 20) {
        error += Math.abs(cells - estimate.perSecond)
        lastError += Math.abs(cells - last)
        sum += cells
      }
      estimate.endPeriod({ cells, squares: cells, periodMs: 1000 })
      last = cells
    }
    expect(error / sum).to.be.below(0.128)
    expect(error).to.be.below(lastError)
  })

  it('counts requests for several cells at once as the uneven thing they are', () => {
    const estimate = fed(
      Array.from({ length: 30 }, () => 64),
      16,
    )
    expect(estimate.batch).to.be.closeTo(16, 0.1)
    expect(estimate.dispersion).to.be.at.least(15.9)
  })
})
