import { expect } from 'chai'
import { AskLimit } from '../../../lib/kms/demand/ask-limit.ts'
import { baseStockCells } from '../../../lib/kms/demand/base-stock.ts'
import { DemandMonitor } from '../../../lib/kms/demand/demand-monitor.ts'
import { MissBudget } from '../../../lib/kms/demand/miss-budget.ts'
import { OrderFlight } from '../../../lib/kms/demand/order-flight.ts'

const EMPTY = { stockCells: 0, waitingCells: 0, inFlightCells: 0 }

/** A monitor that was asked `perSecond` single cells, evenly, for so many seconds. */
function asked(perSecond: number, seconds: number, monitor = new DemandMonitor({ nowMs: 0 }), fromMs = 0) {
  for (let second = 0; second < seconds; second += 1) {
    for (let n = 0; n < perSecond; n += 1) {
      const nowMs = fromMs + second * 1000 + (n * 1000) / perSecond
      monitor.asked({ cells: 1, lane: 'issue', nowMs })
      if (monitor.isDue(nowMs)) monitor.order(EMPTY, nowMs)
    }
  }
  monitor.order(EMPTY, fromMs + seconds * 1000)
  return monitor
}

describe('baseStockCells', () => {
  const estimate = { perSecond: 20, batch: 1, dispersion: 1, errorVariance: 0 }
  const terms = { protectionMs: 3000, tail: 1e-3 }

  it('is the quantile of what is asked until the next order has come', () => {
    expect(baseStockCells(estimate, terms)).to.equal(85)
  })

  it('grows with rate, time, unevenness and doubt, and is nothing where nobody asks', () => {
    const base = baseStockCells(estimate, terms)
    expect(baseStockCells({ ...estimate, perSecond: 40 }, terms)).to.be.above(base)
    expect(baseStockCells(estimate, { ...terms, protectionMs: 6000 })).to.be.above(base)
    expect(baseStockCells(estimate, { ...terms, tail: 1e-6 })).to.be.above(base)
    expect(baseStockCells({ ...estimate, dispersion: 16 }, terms)).to.be.above(base)
    expect(baseStockCells({ ...estimate, errorVariance: 25 }, terms)).to.be.above(base)
    expect(baseStockCells({ ...estimate, perSecond: 0 }, terms)).to.equal(0)
  })
})

describe('AskLimit', () => {
  it('halves what it asks where less is granted, but never below the grant, and adds a tenth while it is granted', () => {
    const limit = new AskLimit()
    const asks: number[] = []
    for (let n = 0; n < 6; n += 1) {
      const ask = limit.ask(1000)
      asks.push(Math.round(ask))
      limit.answer({ wanted: 1000, asked: ask, granted: Math.min(ask, 300) })
    }
    expect(asks).to.deep.equal([1000, 500, 300, 330, 300, 330])
    expect(limit.isLimited).to.equal(true)
  })

  it('comes back to the whole once that is granted, also from nothing', () => {
    const limit = new AskLimit()
    limit.answer({ wanted: 1000, asked: 1000, granted: 0 })
    for (let n = 0; n < 20; n += 1) {
      const ask = limit.ask(1000)
      limit.answer({ wanted: 1000, asked: ask, granted: 0 })
    }
    let rounds = 0
    for (; limit.isLimited; rounds += 1) {
      const ask = limit.ask(1000)
      limit.answer({ wanted: 1000, asked: ask, granted: ask })
    }
    expect(rounds).to.be.below(60)
    expect(limit.ask(1000)).to.equal(1000)
  })
})

describe('OrderFlight', () => {
  it('holds what was granted over the lead time and has not come', () => {
    const flight = new OrderFlight({ leadMs: 2000, unitCells: 1, nowMs: 0 })
    flight.grant(100, 0)
    expect(flight.cells(1000)).to.equal(100)
    expect(flight.cells(2000)).to.equal(200)
    for (let atMs = 2010; atMs <= 4000; atMs += 10) flight.arrive(1, atMs)
    expect(flight.cells(4000)).to.be.closeTo(200, 2)
  })

  it('gives up what did not come in time, and a grant that has ended', () => {
    const flight = new OrderFlight({ leadMs: 2000, unitCells: 1, nowMs: 0 })
    flight.grant(100, 0, 1000)
    expect(flight.cells(1500)).to.equal(100)
    expect(flight.cells(2500)).to.be.closeTo(51, 1)
    expect(flight.cells(3500)).to.equal(0)
  })

  it('keeps what a block still gathers', () => {
    const flight = new OrderFlight({ leadMs: 2000, unitCells: 998, nowMs: 0 })
    flight.grant(20, 0)
    expect(flight.cells(40_000)).to.be.closeTo(800, 1)
    expect(flight.cells(49_900)).to.be.closeTo(998, 1)
    flight.arrive(998, 49_900)
    expect(flight.cells(49_900)).to.be.closeTo(0, 1)
  })
})

describe('MissBudget', () => {
  const day = (budget: MissBudget, { late = 0, fromMs = 0 }) => {
    for (let s = 1; s <= 86_400; s += 1) {
      budget.endPeriod({ requests: 20, late: s === 40_000 ? late : 0, nowMs: fromMs + s * 1000 })
    }
  }

  it('holds nothing against surges while it can pay for one, and all that one lacked when it cannot', () => {
    const budget = new MissBudget({ missShare: 0.001, nowMs: 0 })
    day(budget, {})
    expect(budget.credit).to.be.closeTo(1_728, 20)
    budget.sawSurge(360)
    expect(budget.reserveCells).to.equal(0)
    budget.endPeriod({ requests: 20, late: 1_600, nowMs: 86_401_000 })
    expect(budget.reserveCells).to.be.within(200, 300)
    budget.endPeriod({ requests: 20, late: 5_000, nowMs: 86_402_000 })
    expect(budget.reserveCells).to.equal(360)
  })

  it('owes no more than a day, so that it is even again after one without a miss', () => {
    const budget = new MissBudget({ missShare: 0.001, nowMs: 0 })
    day(budget, { late: 1_000_000 })
    budget.sawSurge(360)
    day(budget, { fromMs: 86_400_000 })
    expect(budget.credit).to.be.above(0)
  })
})

describe('DemandMonitor', () => {
  it('orders continuously while demand is steady: what is asked for, once stock and orders are at the base stock', () => {
    const monitor = asked(20, 120)
    const target = monitor.targetCells
    expect(target).to.be.within(85, 110)
    const order = monitor.order({ stockCells: target - 60, waitingCells: 0, inFlightCells: 40 }, 120_500)
    expect(order).to.deep.equal({ perSecond: 20, kind: 'continuous', weight: 1 })
  })

  it('orders at once and on demand when demand leaps, with a deadline', () => {
    const monitor = asked(20, 30)
    const before = monitor.targetCells
    let seenMs: number | undefined
    for (let n = 0; n < 60 && seenMs === undefined; n += 1) {
      const nowMs = 30_000 + n * 5
      if (monitor.asked({ cells: 1, lane: 'issue', nowMs }) !== undefined) seenMs = nowMs
    }
    expect(seenMs).to.be.below(30_200)
    expect(monitor.isDue(seenMs!)).to.equal(true)
    const order = monitor.order({ stockCells: 0, waitingCells: 30, inFlightCells: 40 }, seenMs!)
    expect(order.kind).to.equal('on-demand')
    expect(order.deadlineMs).to.equal(4_000)
    expect(monitor.targetCells).to.be.above(5 * before)
    expect(order.perSecond).to.equal(monitor.targetCells - 10)
  })

  it('orders nothing above the base stock, and counts who waits as stock that is missing', () => {
    const monitor = asked(20, 30)
    const target = monitor.targetCells
    expect(monitor.order({ stockCells: target + 500, waitingCells: 0, inFlightCells: 0 }, 30_100).perSecond).to.equal(0)
    const waiting = monitor.order({ stockCells: target, waitingCells: 70, inFlightCells: 0 }, 30_200)
    expect(waiting.perSecond).to.equal(70)
  })

  it('weighs by the priority of those who ask', () => {
    const monitor = new DemandMonitor({ nowMs: 0 })
    for (let n = 0; n < 2_000; n += 1) monitor.asked({ cells: 1, lane: 'issue', nowMs: n * 50, priority: 7 })
    expect(monitor.order(EMPTY, 100_000).weight).to.equal(8)
  })

  it('keeps lanes apart, and adds both up', () => {
    const monitor = asked(20, 30)
    const own = monitor.baseStockCells('issue')
    expect(monitor.baseStockCells('retrieve')).to.equal(0)
    for (let n = 0; n < 1_000; n += 1) {
      const nowMs = 30_000 + n * 20
      monitor.asked({ cells: 1, lane: 'retrieve', nowMs })
      if (monitor.isDue(nowMs)) monitor.order(EMPTY, nowMs)
    }
    expect(monitor.perSecond('retrieve')).to.be.closeTo(50, 3)
    expect(monitor.perSecond('issue')).to.be.closeTo(0, 1)
    expect(monitor.targetCells).to.equal(monitor.baseStockCells('issue') + monitor.baseStockCells('retrieve'))
    expect(own).to.be.above(0)
  })

  it('stays within its bounds, counts in whole pieces, and leaves what the policy reserves', () => {
    const terms = { unitCells: 998, leastCells: 3_992, mostCells: 7_984 }
    const monitor = new DemandMonitor({ nowMs: 0, ...terms })
    expect(monitor.targetCells).to.equal(3_992)
    asked(20, 10, monitor)
    expect(monitor.baseStockCells('issue')).to.equal(2 * 998)
    monitor.asked({ cells: 1, lane: 'issue', nowMs: 10_500, reservedCells: 1_500 })
    expect(monitor.baseStockCells('issue')).to.equal(3 * 998)
    asked(3_000, 10, monitor, 11_000)
    expect(monitor.targetCells).to.equal(7_984)
  })

  it('gives the same orders for the same calls', () => {
    const orders = [1, 2].map(() => {
      const monitor = asked(33, 12)
      return [monitor.order({ stockCells: 7, waitingCells: 3, inFlightCells: 2 }, 13_000), monitor.missCredit]
    })
    expect(orders[0]).to.deep.equal(orders[1])
  })

  it('says how long the stock lasts', () => {
    expect(asked(20, 30).exhaustionMs(100)).to.be.closeTo(5_000, 100)
    expect(new DemandMonitor({ nowMs: 0 }).exhaustionMs(100)).to.equal(Number.POSITIVE_INFINITY)
  })
})
