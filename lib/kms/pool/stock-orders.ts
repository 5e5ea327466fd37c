import type { Unsubscribe } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { Qnl } from '../../interface/qnl.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import { CELL_BYTES, PAYLOAD_CELLS } from '../../key/cells.ts'
import { blockKind } from '../../key/virtual-block.ts'
import { DemandMonitor, type Lane } from '../demand/demand-monitor.ts'
import { DemandOrders } from '../demand/demand-orders.ts'
import type { BlockLedger } from './block-ledger.ts'
import { DemandRate } from './demand-rate.ts'

const CELL_BITS = CELL_BYTES * 8
/** From an order to a block that can be issued from: the network's next plan, the way, the proof of both copies. */
const LEAD_MS = 2000
/** Blocks are few: what comes is averaged over so long. */
const GENERATION_WINDOW_MS = 30_000
/** Blocks kept where nobody asks: for each side one to issue from and one to follow it. */
const LEAST_BLOCKS = 4

/** Blocks that are begun count as whole, one of each lane: so much may be missing before another is ordered. */
const BEGUN_BLOCKS = 2

/** What stock is ordered for, and from whom. */
export interface StockOrdersOptions {
  readonly qnl: Qnl
  readonly ledger: BlockLedger
  /** Bounds of the stock in blocks of both lanes, and of what is asked of the network. */
  readonly limits: { readonly minBlocks?: number; readonly targetBlocks: number; readonly demandBps: number }
  /** Cells under lease that this side can give out at once, and those that its requests wait for. */
  readonly leasedCells: () => number
  readonly waitingCells: () => number
  readonly telemetry: Telemetry
  readonly logger: Logger
  readonly nowMs: () => number
}

/** What the demand monitor of a pool sees and does, as status and metrics show it. */
export interface PoolDemand {
  /** Key that the hosts of this site ask for, in bits per second. */
  readonly consumptionBps: number
  /** Key that the hosts of the other site ask for, as its leases show, in bits per second. */
  readonly peerConsumptionBps: number
  /** `changing` for some seconds after demand has leapt or dropped. */
  readonly trend: 'steady' | 'changing'
  /** Cells that stock and orders of both lanes are to come to. */
  readonly baseStockCells: number
  readonly inFlightCells: number
  readonly askedBps: number
  readonly grantedBps: number
  /** The network grants less than hosts of both sites ask for, for several seconds now. */
  readonly degraded: boolean
  /** How long this side's stock lasts at the present rate, in milliseconds; undefined where nobody asks. */
  readonly exhaustionMs: number | undefined
}

/** Decides how much a pool holds: watches both lanes' demand, orders from the network, and says when there is room for a block. */
export class StockOrders {
  readonly #options: StockOrdersOptions
  readonly #monitor: DemandMonitor
  readonly #orders: DemandOrders
  readonly #abort = new AbortController()
  readonly #unsubscribe: Unsubscribe
  #ticking: Promise<void> = Promise.resolve()
  readonly #generation: DemandRate
  #wasDegraded = false

  constructor(options: StockOrdersOptions) {
    this.#options = options
    const { qnl, ledger, nowMs, logger, limits } = options
    const { remoteSiteId } = ledger
    this.#generation = new DemandRate({ windowMs: GENERATION_WINDOW_MS, nowMs: nowMs() })
    const unitCells = PAYLOAD_CELLS
    const { targetBlocks, minBlocks = LEAST_BLOCKS } = limits
    const leastCells = Math.min(minBlocks, targetBlocks) * unitCells
    const mostCells = targetBlocks * unitCells
    this.#monitor = new DemandMonitor({ nowMs: nowMs(), leadMs: LEAD_MS, unitCells, leastCells, mostCells })
    this.#orders = new DemandOrders({
      qnl,
      remoteSiteId,
      monitor: this.#monitor,
      read: () => ({ stockCells: this.#stockCells(), waitingCells: options.waitingCells() }),
      maxRateBps: limits.demandBps,
      mode: 'multipath',
      leadMs: LEAD_MS,
      unitCells,
      nowMs,
      logger,
    })
    this.#unsubscribe = qnl.onEvent(event => {
      if (event.remoteSiteId !== remoteSiteId) return
      if (event.type === 'rate-drop' || event.type === 'restored') this.#orders.regranted(event.rateBps)
      else if (event.type === 'pair-unserved') this.#orders.regranted(0)
    })
  }

  /** Hosts of this site ask for key. */
  asked({ cells, ...request }: { cells: number; priority?: number; reservedCells?: number }): void {
    this.#count('issue', cells, request)
  }

  /** The peer took cells of its lane under lease: that is how its hosts' demand shows here. */
  leased(cells: number): void {
    this.#count('retrieve', Math.min(cells, PAYLOAD_CELLS))
  }

  /** A request of this site's hosts waited so long for its key, or for its refusal. */
  waited(waitMs: number): void {
    this.#monitor.waited(waitMs)
  }

  /** A block has come from the network. */
  arrived(): void {
    this.#orders.arrived(PAYLOAD_CELLS)
    this.#generation.add(PAYLOAD_CELLS)
  }

  /** True while the stock, `blocks` in all, has room for one more. */
  hasRoomFor(blocks: number): boolean {
    return blocks < this.#wantedBlocks()
  }

  /** This side's part of what both lanes should hold, 0 to 1; undefined while nobody asks for anything. */
  ownShare(): number | undefined {
    const own = this.#monitor.baseStockCells('issue')
    const all = own + this.#monitor.baseStockCells('retrieve')
    return all > 0 ? own / all : undefined
  }

  /** Orders where an order is due; does not wait for the network. */
  tick(): void {
    if (this.#abort.signal.aborted || !this.#monitor.isDue(this.#options.nowMs())) return
    this.#ticking = Promise.all([this.#ticking, this.#orders.tick({ signal: this.#abort.signal })]).then(() => {})
  }

  status(issuableCells: number): PoolDemand {
    const { askedBps, grantedBps, inFlightCells, degraded } = this.#orders.state
    const exhaustionMs = this.#monitor.exhaustionMs(issuableCells)
    return {
      consumptionBps: Math.round(this.#monitor.perSecond('issue') * CELL_BITS),
      peerConsumptionBps: Math.round(this.#monitor.perSecond('retrieve') * CELL_BITS),
      trend: this.#monitor.isChanging ? 'changing' : 'steady',
      baseStockCells: this.#monitor.targetCells,
      inFlightCells: Math.round(inFlightCells),
      askedBps: Math.round(askedBps),
      grantedBps: Math.round(grantedBps),
      degraded,
      exhaustionMs: Number.isFinite(exhaustionMs) ? Math.round(exhaustionMs) : undefined,
    }
  }

  /** Writes gauges, and an alarm while the network gives too little. */
  report(issuableCells: number): void {
    const { telemetry, ledger } = this.#options
    const peer = ledger.remoteSiteId
    const demand = this.status(issuableCells)
    telemetry.gauge('pool_consumption_bps', { peer }, demand.consumptionBps)
    telemetry.gauge('pool_peer_consumption_bps', { peer }, demand.peerConsumptionBps)
    telemetry.gauge('pool_base_stock_cells', { peer }, demand.baseStockCells)
    telemetry.gauge('pool_in_flight_cells', { peer }, demand.inFlightCells)
    telemetry.gauge(
      'pool_position_cells',
      { peer },
      this.#stockCells() - this.#options.waitingCells() + demand.inFlightCells,
    )
    telemetry.gauge('pool_reorder_cells', { peer }, Math.max(0, demand.baseStockCells - BEGUN_BLOCKS * PAYLOAD_CELLS))
    telemetry.gauge('pool_generation_bps', { peer }, this.#generation.perSecond(this.#options.nowMs()) * CELL_BITS)
    telemetry.gauge('pool_asked_bps', { peer }, demand.askedBps)
    telemetry.gauge('pool_granted_bps', { peer }, demand.grantedBps)
    telemetry.gauge('pool_degraded', { peer }, Number(demand.degraded))
    telemetry.gauge('pool_late_credit', { peer }, this.#monitor.missCredit)
    telemetry.gauge('pool_exhaustion_ms', { peer }, demand.exhaustionMs ?? Number.POSITIVE_INFINITY)
    if (demand.degraded === this.#wasDegraded) return
    this.#wasDegraded = demand.degraded
    telemetry.emit({
      type: 'alarm',
      id: `pool-degraded:${ledger.pair.name}`,
      severity: 'minor',
      state: demand.degraded ? 'raised' : 'cleared',
      text: `Hosts ask for more key shared with ${peer} than the network grants: ${demand.grantedBps} bit/s`,
    })
  }

  /** Orders no more, and waits for the order under way. */
  async close(): Promise<void> {
    this.#unsubscribe()
    this.#abort.abort()
    await this.#ticking
  }

  #count(lane: Lane, cells: number, request: { priority?: number; reservedCells?: number } = {}): void {
    const { telemetry, ledger, nowMs } = this.#options
    const surge = this.#monitor.asked({ cells, lane, nowMs: nowMs(), ...request })
    if (surge === undefined) {
      this.tick()
      return
    }
    telemetry.emit({
      type: 'demand-surge',
      peerSiteId: ledger.remoteSiteId,
      lane,
      wasBps: Math.round(surge.wasPerSecond * CELL_BITS),
      rateBps: Math.round(surge.perSecond * CELL_BITS),
    })
    this.tick()
  }

  #wantedBlocks(): number {
    const cells = this.#monitor.targetCells + this.#options.waitingCells()
    return Math.min(this.#options.limits.targetBlocks, Math.ceil(cells / PAYLOAD_CELLS))
  }

  /** What both lanes can still give out, and what is about to be proven. */
  #stockCells(): number {
    const { ledger, leasedCells } = this.#options
    let cells = leasedCells()
    for (const block of ledger.blocks()) {
      if (blockKind(block.number) !== 'network') continue
      if (block.state === 'active') cells += PAYLOAD_CELLS - block.lease
      else if (block.state === 'ready') cells += PAYLOAD_CELLS - block.horizon
      else if (block.state === 'received') cells += PAYLOAD_CELLS
    }
    return cells
  }
}
