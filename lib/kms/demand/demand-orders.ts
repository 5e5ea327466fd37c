import { QkdError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import type { Demand, Qnl } from '../../interface/qnl.ts'
import { CELL_BYTES } from '../../key/cells.ts'
import { AskLimit } from './ask-limit.ts'
import type { DemandMonitor, PoolReading } from './demand-monitor.ts'
import { OrderFlight } from './order-flight.ts'

const CELL_BITS = CELL_BYTES * 8
/** A standing order is left as it is while the next would differ by no more than this share: each one makes the network plan. */
const LEAVE_SHARE = 0.1
/** Periods with less than is asked for, one after the other, until the pool counts as degraded. */
const DEGRADED_PERIODS = 5

/** Whom orders go to, and what they are made from. */
export interface DemandOrdersOptions {
  readonly qnl: Pick<Qnl, 'setDemand'>
  readonly remoteSiteId: string
  readonly monitor: DemandMonitor
  /** The pool as it is now. */
  readonly read: () => Omit<PoolReading, 'inFlightCells'>
  /** The most that is asked, in bits per second. Default no bound. */
  readonly maxRateBps?: number
  readonly mode: Demand['mode']
  /** From an order to the key it brings, in milliseconds. */
  readonly leadMs: number
  /** The pieces that key comes in, in cells. */
  readonly unitCells: number
  readonly nowMs: () => number
  readonly logger: Logger
}

/** What was asked of the network and granted last, in bits per second. */
export interface OrderState {
  readonly askedBps: number
  readonly grantedBps: number
  readonly kind: Demand['kind']
  readonly inFlightCells: number
  /** For some periods now the network grants less than hosts ask for: the pool will run dry. */
  readonly degraded: boolean
}

/** Puts what the monitor orders to the network, one order at a time, asks less of a network that grants less, and keeps count. */
export class DemandOrders {
  readonly #options: DemandOrdersOptions
  readonly #limit = new AskLimit()
  readonly #flight: OrderFlight
  #asked: Demand | undefined
  #grantedBps = 0
  #shortPeriods = 0
  #isSending = false
  #isAgain = false

  constructor(options: DemandOrdersOptions) {
    this.#options = options
    const { leadMs, unitCells, nowMs } = options
    this.#flight = new OrderFlight({ leadMs, unitCells, nowMs: nowMs() })
  }

  get state(): OrderState {
    return {
      askedBps: this.#asked?.rateBps ?? 0,
      grantedBps: this.#grantedBps,
      kind: this.#asked?.kind ?? 'continuous',
      inFlightCells: this.#flight.cells(this.#options.nowMs()),
      degraded: this.#shortPeriods >= DEGRADED_PERIODS,
    }
  }

  /** Key has come from the network. */
  arrived(cells: number): void {
    this.#flight.arrive(cells, this.#options.nowMs())
  }

  /** The network has changed its mind: from now on it grants so much, in bits per second. */
  regranted(rateBps: number): void {
    this.#grantedBps = Math.min(rateBps, this.#asked?.rateBps ?? 0)
    this.#flight.grant(this.#grantedBps / CELL_BITS, this.#options.nowMs(), this.#asked?.deadlineMs)
  }

  /** Orders where an order is due. Never rejects: what fails is tried again with the next one. */
  async tick({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const { monitor, nowMs } = this.#options
    if (!monitor.isDue(nowMs())) return
    if (this.#isSending) {
      this.#isAgain = true
      return
    }
    this.#isSending = true
    try {
      do {
        this.#isAgain = false
        await this.#order(signal)
      } while (this.#isAgain && signal?.aborted !== true)
    } finally {
      this.#isSending = false
    }
  }

  async #order(signal: AbortSignal | undefined): Promise<void> {
    const { monitor, read, nowMs, maxRateBps = Number.POSITIVE_INFINITY, mode } = this.#options
    const atMs = nowMs()
    const reading = read()
    const order = monitor.order({ ...reading, inFlightCells: this.#flight.cells(atMs) }, atMs)
    const wanted = Math.min(maxRateBps, order.perSecond * CELL_BITS)
    const rateBps = this.#limit.ask(wanted)
    const { kind, weight, deadlineMs } = order
    const pool = { stockBits: reading.stockCells * CELL_BITS, targetBits: monitor.targetCells * CELL_BITS }
    const demand: Demand = { rateBps, weight, kind, mode, pool, ...(deadlineMs !== undefined && { deadlineMs }) }
    const stands = this.#asked !== undefined && isAlike(this.#asked, demand)
    if (!stands) await this.#send(demand, signal)
    this.#limit.answer({ wanted, asked: this.#asked?.rateBps ?? 0, granted: this.#grantedBps })
    const neededBps = (monitor.perSecond('issue') + monitor.perSecond('retrieve')) * CELL_BITS
    const isShort = this.#limit.isLimited && this.#grantedBps < neededBps
    this.#shortPeriods = isShort ? this.#shortPeriods + 1 : 0
  }

  async #send(demand: Demand, signal: AbortSignal | undefined): Promise<void> {
    const { qnl, remoteSiteId, nowMs, logger } = this.#options
    try {
      const grant = await qnl.setDemand(remoteSiteId, demand, { ...(signal && { signal }) })
      this.#grantedBps = grant.rateBps
      this.#asked = demand
    } catch (error) {
      if (signal?.aborted === true) return
      this.#grantedBps = 0
      this.#asked = undefined
      if (!(error instanceof QkdError && error.code === 'ERR_QKD_CLOSED'))
        logger.warn({ remoteSiteId, err: (error as Error).message }, 'The QNL took no order')
    }
    this.#flight.grant(this.#grantedBps / CELL_BITS, nowMs(), demand.deadlineMs)
  }
}

/** True where sending `next` in place of `last` would change next to nothing. An on-demand order is sent anew: it ends by itself. */
function isAlike(last: Demand, next: Demand): boolean {
  if (next.kind !== 'continuous' || last.kind !== next.kind || last.weight !== next.weight) return false
  return Math.abs(next.rateBps - last.rateBps) <= last.rateBps * LEAVE_SHARE && tenthsOf(next) === tenthsOf(last)
}

/** How full the pool is, in steps that are news: maintenance of a link waits for pools to be full. */
function tenthsOf({ pool }: Demand): number {
  return pool === undefined || pool.targetBits === 0
    ? 10
    : Math.min(10, Math.floor((10 * pool.stockBits) / pool.targetBits))
}
