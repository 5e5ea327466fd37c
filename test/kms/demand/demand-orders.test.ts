import { expect } from 'chai'
import { NoRouteError } from '../../../lib/errors.ts'
import type { Demand, DemandGrant } from '../../../lib/interface/qnl.ts'
import { DemandMonitor } from '../../../lib/kms/demand/demand-monitor.ts'
import { DemandOrders } from '../../../lib/kms/demand/demand-orders.ts'
import { debugLogger } from '../../../lib/util/debug-logger.ts'
import { VirtualTimers } from '../../helpers/virtual-timers.ts'

/** Orders for 50 cells a second, put to a network that grants what the test says, with a stock that the test sets. */
class Desk {
  readonly timers = new VirtualTimers()
  readonly demands: Demand[] = []
  readonly monitor = new DemandMonitor({ nowMs: 0 })
  capBps = Number.POSITIVE_INFINITY
  fault: Error | undefined
  stockCells = 0
  /** Where it is set, the stock is always so much less than what stock and orders are to come to. */
  missingCells: number | undefined
  readonly orders = new DemandOrders({
    qnl: { setDemand: (_peer, demand) => this.#setDemand(demand) },
    remoteSiteId: 'far',
    monitor: this.monitor,
    read: () => ({
      stockCells: this.missingCells === undefined ? this.stockCells : this.#stockThatLacks(),
      waitingCells: 0,
    }),
    mode: 'multipath',
    leadMs: 2000,
    unitCells: 1,
    nowMs: this.timers.nowMs,
    logger: debugLogger('kms'),
  })

  async seconds(count: number): Promise<void> {
    for (let n = 0; n < count * 50; n += 1) {
      this.timers.moveTo(this.timers.nowMs() + 20)
      this.monitor.asked({ cells: 1, lane: 'issue', nowMs: this.timers.nowMs() })
      await this.orders.tick()
    }
  }

  #stockThatLacks(): number {
    return this.monitor.targetCells - this.orders.state.inFlightCells - this.missingCells!
  }

  async #setDemand(demand: Demand): Promise<DemandGrant> {
    if (this.fault !== undefined) throw this.fault
    this.demands.push(demand)
    return { rateBps: Math.min(this.capBps, demand.rateBps), epoch: 1 }
  }
}

describe('DemandOrders', () => {
  it('leaves a standing order alone while the next would be about the same', async () => {
    const desk = new Desk()
    // What is missing each second is what was taken in it, or nearly.
    desk.missingCells = 50
    await desk.seconds(70)
    const sent = desk.demands.length
    desk.missingCells = 53
    await desk.seconds(5)
    expect(desk.demands.at(-1)).to.deep.include({ kind: 'continuous', rateBps: 50 * 256 })
    expect(desk.demands.length).to.equal(sent)
    desk.missingCells = 60
    await desk.seconds(1)
    expect(desk.demands.at(-1)!.rateBps).to.equal(60 * 256)
  })

  it('asks less of a network that grants less, says that it is degraded, and takes it back when enough comes again', async () => {
    const desk = new Desk()
    await desk.seconds(10)
    desk.capBps = 20 * 256
    await desk.seconds(4)
    expect(desk.orders.state.degraded).to.equal(false)
    await desk.seconds(10)
    const { askedBps, grantedBps, degraded } = desk.orders.state
    expect(degraded).to.equal(true)
    expect(grantedBps).to.equal(20 * 256)
    expect(askedBps).to.be.within(grantedBps, 1.33 * grantedBps)
    desk.capBps = Number.POSITIVE_INFINITY
    desk.stockCells = desk.monitor.targetCells
    await desk.seconds(30)
    expect(desk.orders.state.degraded).to.equal(false)
  })

  it('heeds a network that changes its mind between two orders', async () => {
    const desk = new Desk()
    await desk.seconds(10)
    desk.orders.regranted(5 * 256)
    expect(desk.orders.state.grantedBps).to.equal(5 * 256)
    desk.orders.regranted(Number.POSITIVE_INFINITY)
    expect(desk.orders.state.grantedBps).to.be.closeTo(desk.orders.state.askedBps, 1)
  })

  it('goes on after an order that the network refused, and counts nothing as granted until then', async () => {
    const desk = new Desk()
    desk.fault = new NoRouteError('No path of links')
    await desk.seconds(3)
    expect(desk.orders.state).to.include({ grantedBps: 0, inFlightCells: 0 })
    desk.fault = undefined
    await desk.seconds(2)
    expect(desk.orders.state.grantedBps).to.be.above(0)
    expect(desk.orders.state.inFlightCells).to.be.above(0)
  })

  it('puts one order at a time to the network', async () => {
    const desk = new Desk()
    const ticks = [desk.orders.tick(), desk.orders.tick(), desk.orders.tick()]
    await Promise.all(ticks)
    expect(desk.demands.length).to.be.at.most(2)
  })
})
