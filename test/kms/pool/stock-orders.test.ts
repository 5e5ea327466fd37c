import { expect } from 'chai'
import type { Demand } from '../../../lib/interface/qnl.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const CELLS = 10

/** Alice asks for so many keys of ten cells a second of both sites' clocks, evenly. */
async function ask(sites: PoolPair, { perSecond, seconds }: { perSecond: number; seconds: number }): Promise<void> {
  for (let n = 0; n < perSecond * seconds; n += 1) {
    sites.advance(1000 / perSecond)
    const [key] = await sites.sites[0].pool.issue({ pair, number: 1, sizeBytes: 32 * CELLS, suite: 2, waitMs: 9_000 })
    key!.secret.wipe()
  }
}

describe('StockOrders', function () {
  this.timeout(60_000)

  it('holds the least stock while nobody asks, and then asks the network for nothing', async () => {
    const demands: Demand[] = []
    const onDemand = (site: 0 | 1, demand: Demand) => {
      if (site === 0) demands.push(demand)
    }
    await using sites = await PoolPair.open({ limits: { targetBlocks: 16, minBlocks: 4 }, onDemand })
    sites.connect()
    const [{ pool }] = sites.sites
    const blocks = () => pool.status().blocks.active + pool.status().blocks.ready + pool.status().blocks.received
    await until(() => blocks() === 4, 'four blocks are there')
    await until(() => {
      sites.advance(1000)
      return demands.at(-1)?.rateBps === 0
    }, 'nothing is asked any more')
    expect(demands[0]!.rateBps).to.be.above(0)
    expect(blocks()).to.equal(4)
    expect(pool.status().demand).to.include({
      askedBps: 0,
      consumptionBps: 0,
      baseStockCells: 4 * 998,
      degraded: false,
    })
    expect(pool.status().demand.exhaustionMs).to.equal(undefined)
  })

  it('asks for steady demand continuously, for a surge on demand, and again continuously once that has lasted', async () => {
    const demands: Demand[] = []
    const onDemand = (site: 0 | 1, demand: Demand) => {
      if (site === 0) demands.push(demand)
    }
    await using sites = await PoolPair.open({ limits: { targetBlocks: 32, minBlocks: 4 }, onDemand })
    sites.connect()
    const [a, b] = sites.sites
    await until(() => a.pool.status().leasedCells > 0, 'key can be issued')

    await ask(sites, { perSecond: 10, seconds: 20 })
    expect(demands.at(-1)!.kind).to.equal('continuous')
    const steady = a.pool.status().demand
    expect(steady.trend).to.equal('steady')
    expect(steady.consumptionBps).to.be.closeTo(10 * CELLS * 256, 2_560)
    expect(steady.baseStockCells).to.equal(4 * 998)

    const surges = () => a.events.filter(event => event.type === 'demand-surge' && event.lane === 'issue')
    const before = surges().length
    await ask(sites, { perSecond: 200, seconds: 0.5 })
    expect(surges().length).to.be.above(before)
    const urgent = demands.at(-1)!
    expect(urgent).to.include({ kind: 'on-demand', deadlineMs: 4_000 })
    expect(a.pool.status().demand.baseStockCells).to.be.above(6 * 998)

    await ask(sites, { perSecond: 200, seconds: 9 })
    const risen = a.pool.status().demand
    expect(risen.trend).to.equal('steady')
    expect(demands.at(-1)!.kind).to.equal('continuous')
    expect(risen.consumptionBps).to.be.closeTo(200 * CELLS * 256, 60_000)
    // The other site sees it in the leases, and so asks for as much: a network serves the greater of both.
    expect(b.pool.status().demand.peerConsumptionBps).to.be.closeTo(200 * CELLS * 256, 120_000)
    expect(b.pool.status().demand.consumptionBps).to.equal(0)
  })

  it('moves blocks that come in to the lane that is asked, and none to the other', async () => {
    await using sites = await PoolPair.open({ limits: { targetBlocks: 8, minBlocks: 8 } })
    sites.connect()
    const [a, b] = sites.sites
    const given = (site: typeof a) => site.events.filter(event => event.type === 'block' && event.row === 20).length
    await until(() => a.pool.status().blocks.active >= 3 && b.pool.status().blocks.active >= 3, 'the pool is full')
    // What has authenticated other blocks stays where it is; of those that come for what is used up the idle side gives.
    for (let gifts = 1; gifts <= 3; gifts += 1) {
      await until(async () => {
        await ask(sites, { perSecond: 100, seconds: 0.3 })
        return given(b) >= gifts
      }, `${gifts} blocks are given away`)
    }
    expect(given(a)).to.equal(0)
    expect(b.pool.status().issuableCells).to.be.at.least(998)
  })
})
