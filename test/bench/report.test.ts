import { expect } from 'chai'
import { callsPerSecond, cpuTimeMs, interleave, median, p95, percentile } from '../../bench/report.ts'

describe('median and percentile', () => {
  it('take the middle, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).to.equal(2)
    expect(median([4, 1, 3, 2])).to.equal(2.5)
    expect(median([])).to.be.NaN
  })

  it('take the nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, at) => 100 - at)
    expect(p95(values)).to.equal(95)
    expect(percentile(values, 0)).to.equal(1)
    expect(percentile(values, 1)).to.equal(100)
    expect(percentile([], 0.5)).to.be.NaN
  })
})

describe('interleave', () => {
  it('runs pairs in turn, every second one the other way round, and takes the median of their ratios', async () => {
    const order: string[] = []
    const result = await interleave(3, {
      a: async () => order.push('a'),
      b: async () => order.push('b'),
    })
    expect(order.join('')).to.equal('abbaab')
    expect(result.a).to.deep.equal([1, 4, 5])
    expect(result.b).to.deep.equal([2, 3, 6])
    expect(result.ratio).to.equal(5 / 6)
  })
})

describe('callsPerSecond', () => {
  it('makes each call once, with no more than the wished number under way', async () => {
    const calls: number[] = []
    let [underWay, most] = [0, 0]
    const rate = await callsPerSecond(20, 4, async call => {
      calls.push(call)
      underWay += 1
      most = Math.max(most, underWay)
      await new Promise(resolve => setImmediate(resolve))
      underWay -= 1
    })
    expect(calls.sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 20 }, (_, at) => at))
    expect(most).to.equal(4)
    expect(rate).to.be.above(0)
  })
})

describe('cpuTimeMs', () => {
  it('grows with the work of a process and knows nothing of one that is not there', function () {
    if (process.platform !== 'linux') this.skip()
    const before = cpuTimeMs(process.pid)!
    const own = process.cpuUsage()
    while (process.cpuUsage(own).user + process.cpuUsage(own).system < 50_000) Math.sqrt(2)
    expect(cpuTimeMs(process.pid)! - before).to.be.at.least(30)
    expect(cpuTimeMs(2 ** 30)).to.equal(undefined)
  })
})
