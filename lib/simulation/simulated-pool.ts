import type { Demand } from '../interface/qnl.ts'
import { DemandMonitor } from '../kms/demand/demand-monitor.ts'
import { DemandOrders } from '../kms/demand/demand-orders.ts'
import { debugLogger } from '../util/debug-logger.ts'

/** Bits of a cell, the unit that hosts take. */
export const CELL_BITS = 256
/** No pool keeps more than so many cells. */
const MOST_CELLS = 1_000_000
const logger = debugLogger('kms')

/** The pool of a pair in a simulated network: the KMS's own demand monitor and orders over a stock that is only counted. */
export class SimulatedPool {
  readonly a: string
  readonly b: string
  readonly #monitor: DemandMonitor
  readonly #orders: DemandOrders
  /** What the KMS asks of the network now. */
  demand: Demand | undefined
  grantedBps = 0
  stockCells = 0
  #partCells = 0
  #answer: ((rateBps: number) => void) | undefined

  constructor(options: { a: string; b: string; stepMs: number; nowMs: () => number }) {
    const { a, b, stepMs, nowMs } = options
    this.a = a
    this.b = b
    const leadMs = stepMs
    this.#monitor = new DemandMonitor({ nowMs: nowMs(), periodMs: stepMs, leadMs, mostCells: MOST_CELLS })
    this.#orders = new DemandOrders({
      qnl: {
        setDemand: (_, demand) => {
          this.demand = demand
          // The network answers when it has planned.
          return new Promise(resolve => {
            this.#answer = rateBps => resolve({ rateBps: Math.min(demand.rateBps, rateBps), epoch: 0 })
          })
        },
      },
      remoteSiteId: b,
      monitor: this.#monitor,
      read: () => ({ stockCells: this.stockCells, waitingCells: 0 }),
      mode: 'multipath',
      leadMs,
      unitCells: 1,
      nowMs,
      logger,
    })
  }

  /** Hosts ask for so many cells; gives how many they get. */
  take(cells: number, nowMs: number): number {
    // Each request is small: the monitor learns the size of a request as well as the rate.
    const requests = Math.min(4, cells)
    for (let request = 0; request < requests; request++) {
      this.#monitor.asked({ cells: cells / requests, lane: 'issue', nowMs })
    }
    const given = Math.min(cells, this.stockCells)
    this.stockCells -= given
    return given
  }

  /** The network has brought key. */
  fill(bits: number): void {
    this.#partCells += bits / CELL_BITS
    const cells = Math.min(Math.floor(this.#partCells), MOST_CELLS - this.stockCells)
    this.#partCells -= Math.floor(this.#partCells)
    this.stockCells += cells
    if (cells > 0) this.#orders.arrived(cells)
  }

  /** The network grants so much from now on. */
  grant(rateBps: number): void {
    const answer = this.#answer
    this.#answer = undefined
    answer?.(rateBps)
    if (rateBps === this.grantedBps) return
    this.grantedBps = rateBps
    if (answer === undefined) this.#orders.regranted(rateBps)
  }

  /** Orders where an order is due; the answer comes with `grant`. */
  order(): void {
    void this.#orders.tick()
  }
}
