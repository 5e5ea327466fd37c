import { DemandMonitor, PROMPT_MS } from '../../lib/kms/demand/demand-monitor.ts'
import { DemandOrders } from '../../lib/kms/demand/demand-orders.ts'
import { WaitingLine } from '../../lib/kms/pool/waiting-line.ts'
import { debugLogger } from '../../lib/util/debug-logger.ts'
import { DemandDay } from './demand-day.ts'
import { LaggingQnl, STEP_MS } from './lagging-qnl.ts'
import { VirtualTimers } from './virtual-timers.ts'

const LEAD_MS = 2_000
const PERIOD_MS = 1_000
/** 15 times the mean of 20 a second. */
const CAP_PER_SECOND = 300
/** As long as a site's pool lets a request wait where nothing else is said. */
const WAIT_MS = 2_000
const HOSTS = 50

export interface DemandTrialOptions {
  readonly seed: number
  readonly surges?: number
  /** Only so much of the day, in seconds. Default all of it. */
  readonly seconds?: number
}

/** What a day came to. */
export interface DayResult {
  readonly requests: number
  /** Requests that waited more than 100 ms for their key, those that were refused it included. */
  readonly late: number
  readonly refused: number
  readonly lateShare: number
  /** Mean of the cells in stock over the day. */
  readonly meanCells: number
  readonly mostCells: number
}

/** Keeps a pool filled: told of every step of 10 ms, and of what happens between. */
export interface Supplier {
  asked(nowMs: number): void
  waited(waitMs: number): void
  arrived(cells: number): void
  /** Gives a promise only where something is under way, so that a day of steps is no day of promises. */
  review(reading: { stockCells: number; waitingCells: number }, nowMs: number): Promise<void> | undefined
}

/** Runs a day of requests against a stock that the given supplier keeps filled: the line of those who wait is the pool's own. */
export async function runDemandDay(
  { seed, surges = 3, seconds }: DemandTrialOptions,
  createSupplier: (qnl: LaggingQnl, timers: VirtualTimers) => Supplier,
): Promise<DayResult> {
  const day = new DemandDay({ seed, surges })
  const timers = new VirtualTimers()
  const line = new WaitingLine({ timers })
  const qnl = new LaggingQnl({ capPerSecond: CAP_PER_SECOND, leadMs: LEAD_MS })
  const supplier = createSupplier(qnl, timers)
  const endMs = (seconds ?? day.seconds) * 1000
  const times = day.requests()
  let [stock, requests, late, refused, sum, most] = [0, 0, 0, 0, 0, 0]

  const request = (askedAtMs: number) => {
    requests += 1
    supplier.asked(askedAtMs)
    const served = (waitMs: number) => {
      if (waitMs > PROMPT_MS) late += 1
      if (waitMs > 0) supplier.waited(waitMs)
    }
    const attempt = () => {
      if (stock === 0) return undefined
      stock -= 1
      served(timers.nowMs() - askedAtMs)
      return true
    }
    if (!line.isBefore(0) && attempt() === true) return
    const options = { need: { cells: 1, contiguous: 1 }, priority: 0, saeId: `${requests % HOSTS}`, waitMs: WAIT_MS }
    line.wait(attempt, options).then(
      key => {
        if (key !== undefined) return
        refused += 1
        served(WAIT_MS)
      },
      () => {
        refused += 1
        served(WAIT_MS)
      },
    )
  }

  let next = times.next()
  for (let nowMs = 0; nowMs < endMs; nowMs += STEP_MS) {
    timers.moveTo(nowMs)
    const cells = qnl.step()
    if (cells > 0) {
      stock += cells
      supplier.arrived(cells)
      line.serve()
    }
    while (!next.done && next.value < nowMs + STEP_MS) {
      timers.moveTo(next.value)
      request(next.value)
      next = times.next()
    }
    sum += stock
    most = Math.max(most, stock)
    const underWay = supplier.review({ stockCells: stock, waitingCells: line.need?.cells ?? 0 }, timers.nowMs())
    if (underWay !== undefined) await underWay
  }
  line.fail(new Error('The day is over'))
  await new Promise(resolve => setImmediate(resolve))
  const meanCells = (sum * STEP_MS) / endMs
  return { requests, late, refused, lateShare: late / requests, meanCells, mostCells: most }
}

/** The pool's own monitor and orders. */
export function monitored({ reserveCells = 0 } = {}) {
  return (qnl: LaggingQnl, { nowMs }: VirtualTimers): Supplier => {
    const monitor = new DemandMonitor({ nowMs: nowMs(), periodMs: PERIOD_MS, leadMs: LEAD_MS })
    let reading = { stockCells: 0, waitingCells: 0 }
    const orders = new DemandOrders({
      qnl,
      remoteSiteId: 'far',
      monitor,
      read: () => ({ ...reading, stockCells: reading.stockCells - reserveCells }),
      mode: 'multipath',
      leadMs: LEAD_MS,
      unitCells: 1,
      nowMs,
      logger: debugLogger('kms'),
    })
    return {
      asked: atMs => void monitor.asked({ cells: 1, lane: 'issue', nowMs: atMs }),
      waited: waitMs => monitor.waited(waitMs),
      arrived: cells => orders.arrived(cells),
      review: (now, atMs) => {
        reading = now
        return monitor.isDue(atMs) ? orders.tick() : undefined
      },
    }
  }
}

/**
 * What the monitor is held against: orders up to `cells` whenever stock, less what is waited for, and orders are below it.
 * Looks at every step, and its orders are known to the cell, so it is the best that a fixed threshold can be.
 */
export function fixedThreshold(cells: number) {
  return (qnl: LaggingQnl): Supplier => ({
    asked: () => {},
    waited: () => {},
    arrived: () => {},
    review: ({ stockCells, waitingCells }) => {
      const missing = cells - (stockCells - waitingCells + qnl.inFlightCells)
      qnl.produce(missing > 0 ? (missing * 1000) / STEP_MS : 0)
      return undefined
    },
  })
}
