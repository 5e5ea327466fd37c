import type { Demand } from '../../interface/qnl.ts'
import { LaneDemand, type Surge } from './lane-demand.ts'
import { MissBudget } from './miss-budget.ts'

/** A request that waited longer than this for its key came late, in milliseconds. */
export const PROMPT_MS = 100
/** How long a reservation of the policy is heeded after the last request that had to leave it. */
const RESERVATION_MS = 3_600_000

/** The lanes of a pool as one side sees them: `issue` is its own hosts', `retrieve` the peer's. */
export type Lane = 'issue' | 'retrieve'

/** How demand is watched and met. */
export interface DemandTerms {
  /** Time between two orders while nothing leaps, in milliseconds. Default 1000. */
  readonly periodMs?: number
  /** From an order to the key that it brings, in milliseconds. Default 2000. */
  readonly leadMs?: number
  /** Share of requests that may wait longer than `PROMPT_MS`. Default 0.001. */
  readonly missShare?: number
  /** The pieces that key comes in, in cells. Default 1. */
  readonly unitCells?: number
  /** The least that stock and orders come to, whatever is asked, in cells. Default 0. */
  readonly leastCells?: number
  /** The most, in cells. Default no bound. */
  readonly mostCells?: number
}

/** A pool at one moment, both lanes together, in cells. */
export interface PoolReading {
  /** What can be issued. */
  readonly stockCells: number
  /** What requests wait for. */
  readonly waitingCells: number
  /** What was granted by the network and has not come. */
  readonly inFlightCells: number
}

/** What to ask of the network from now on. */
export interface Order {
  /** Cells a second. */
  readonly perSecond: number
  readonly kind: Demand['kind']
  /** For `on-demand`: when it is of no more use, in milliseconds from now. */
  readonly deadlineMs?: number
  /** From the priority of those who ask: 1 to 10. */
  readonly weight: number
}

/** A request as the monitor counts it. */
export interface AskedKey {
  readonly cells: number
  readonly lane: Lane
  readonly nowMs: number
  /** 0 to 9. Default 0. */
  readonly priority?: number
  /** Cells that it had to leave to higher priorities. Default none. */
  readonly reservedCells?: number
}

/**
 * Watches what is asked of a pool and says what to order for it: as much as brings stock and orders to the base stock of
 * both lanes, once a period, and at once where a lane's demand leaps. Goes by the times that it is given alone, so the same
 * calls give the same orders.
 */
export class DemandMonitor {
  readonly #terms: Required<DemandTerms>
  readonly #lanes: Readonly<Record<Lane, LaneDemand>>
  readonly #budget: MissBudget
  #periodAtMs: number
  #requests = 0
  #late = 0
  #priority = 0
  #reservation = { cells: 0, atMs: Number.NEGATIVE_INFINITY }
  #isUrgent = false

  constructor({ nowMs, ...terms }: DemandTerms & { nowMs: number }) {
    this.#terms = {
      periodMs: 1000,
      leadMs: 2000,
      missShare: 0.001,
      unitCells: 1,
      leastCells: 0,
      mostCells: Number.POSITIVE_INFINITY,
      ...terms,
    }
    this.#lanes = { issue: new LaneDemand({ nowMs }), retrieve: new LaneDemand({ nowMs }) }
    this.#budget = new MissBudget({ missShare: this.#terms.missShare, nowMs })
    // The first order is due at once: there is a least stock to come to.
    this.#periodAtMs = nowMs - this.#terms.periodMs
  }

  /** Cells a second that a lane is asked for. */
  perSecond(lane: Lane): number {
    return this.#lanes[lane].perSecond
  }

  /** Demand of either lane is not what it was a few periods ago. */
  get isChanging(): boolean {
    return this.#lanes.issue.trend === 'changing' || this.#lanes.retrieve.trend === 'changing'
  }

  /** Late requests that are still within what is allowed. */
  get missCredit(): number {
    return this.#budget.credit
  }

  /** Somebody asks for key; gives the surge that this made certain, if any: an order is due at once then. */
  asked({ cells, lane, nowMs, priority = 0, reservedCells = 0 }: AskedKey): Surge | undefined {
    if (lane === 'issue') {
      this.#requests += 1
      this.#priority += (priority - this.#priority) / 100
      if (reservedCells >= this.#reservation.cells || nowMs - this.#reservation.atMs > RESERVATION_MS)
        this.#reservation = { cells: reservedCells, atMs: nowMs }
    }
    const surge = this.#lanes[lane].asked(cells, nowMs)
    if (surge === undefined) return undefined
    this.#isUrgent = true
    this.#periodAtMs = nowMs
    const { leadMs } = this.#terms
    if (lane === 'issue') this.#budget.sawSurge(((surge.perSecond - surge.wasPerSecond) * leadMs) / 1000)
    return surge
  }

  /** A request of this side's hosts waited so long, whether it got its key then or not. */
  waited(waitMs: number): void {
    if (waitMs > PROMPT_MS) this.#late += 1
  }

  /** True where a period is over, or demand has leapt. */
  isDue(nowMs: number): boolean {
    return this.#isUrgent || nowMs - this.#periodAtMs >= this.#terms.periodMs
  }

  /** Cells that stock and orders are to come to, per lane. */
  baseStockCells(lane: Lane): number {
    const { leadMs, periodMs, missShare, unitCells } = this.#terms
    const base = this.#lanes[lane].baseStockCells({ protectionMs: leadMs + periodMs, tail: missShare / 2 })
    const cells = lane === 'retrieve' ? base : base + this.#budget.reserveCells + this.#reservation.cells
    // What comes in pieces is not there before it is whole: one piece more is on its way.
    return unitCells === 1 || cells === 0 ? cells : (Math.ceil(cells / unitCells) + 1) * unitCells
  }

  /** Cells that stock and orders of both lanes are to come to. */
  get targetCells(): number {
    const { leastCells, mostCells } = this.#terms
    const cells = this.baseStockCells('issue') + this.baseStockCells('retrieve')
    return Math.min(mostCells, Math.max(leastCells, cells))
  }

  /** What to order now. Ends the period. */
  order({ stockCells, waitingCells, inFlightCells }: PoolReading, nowMs: number): Order {
    this.#endPeriod(nowMs)
    const { leadMs, periodMs } = this.#terms
    const missing = this.targetCells - (stockCells - waitingCells + inFlightCells)
    const perSecond = (Math.max(0, missing) * 1000) / periodMs
    const weight = 1 + Math.round(this.#priority)
    if (!this.isChanging) return { perSecond, kind: 'continuous', weight }
    return { perSecond, kind: 'on-demand', deadlineMs: leadMs + 2 * periodMs, weight }
  }

  /** How long the stock of this side's lane lasts at the present rate, in milliseconds; infinite where nobody asks. */
  exhaustionMs(stockCells: number): number {
    return (stockCells * 1000) / this.perSecond('issue')
  }

  #endPeriod(nowMs: number): void {
    const periodMs = nowMs - this.#periodAtMs
    this.#isUrgent = false
    if (periodMs < this.#terms.periodMs) return
    this.#periodAtMs = nowMs
    for (const lane of [this.#lanes.issue, this.#lanes.retrieve]) lane.endPeriod(periodMs, nowMs)
    this.#budget.endPeriod({ requests: this.#requests, late: this.#late, nowMs })
    this.#requests = 0
    this.#late = 0
  }
}
