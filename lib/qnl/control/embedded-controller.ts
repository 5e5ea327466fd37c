import { ClosedError } from '../../errors.ts'
import type { AbortOptions, Unsubscribe } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type {
  DrainTarget,
  NetworkController,
  NetworkEvent,
  NetworkStatus,
  NodeSeat,
} from '../../interface/network-controller.ts'
import type { NodePlan, NodeReport } from '../../interface/network-node.ts'
import { requireInteger } from '../../util/deadline.ts'
import { debugLogger } from '../../util/debug-logger.ts'
import { Listeners } from '../../util/listeners.ts'
import type { NetworkFile } from '../planner/network.ts'
import type { Plan } from '../planner/plan.ts'
import { PlanWorker } from '../planner/plan-worker.ts'
import type { ControllerMemory } from './controller-memory.ts'
import { EpochCounter } from './epoch-counter.ts'
import { NetworkBoard } from './network-board.ts'

/** Computes plans; `PlanWorker` does so on a thread of its own. */
export interface Planner {
  plan(file: NetworkFile, options: { epoch: number; signal: AbortSignal }): Promise<Plan>
}

/** What an `EmbeddedController` is made from. */
export interface EmbeddedControllerOptions {
  readonly controllerId: string
  /** The sites of the network, and how many links of a site its optical switch can run at once. */
  readonly sites: readonly { readonly siteId: string; readonly modules?: number }[]
  /** Where epochs and maintenance outlive this process. */
  readonly memory: ControllerMemory
  /** Default a `PlanWorker` of its own. What is passed in stays the caller's. */
  readonly planner?: Planner
  /** At most so long between a changed demand and its plan, in milliseconds, 10 to 60,000. Default 1,000. */
  readonly periodMs?: number
  /** How long a node that left still counts, in milliseconds. Default 30,000. */
  readonly memoryMs?: number
  readonly logger?: Logger
}

/** What a node that is away asked for is planned on for `memoryMs`; a full look at everything comes every `periodMs`. */
export class EmbeddedController implements NetworkController {
  readonly #options: EmbeddedControllerOptions
  readonly #planner: Planner
  readonly #ownPlanner: PlanWorker | undefined
  readonly #board: NetworkBoard
  readonly #epochs: EpochCounter
  readonly #seats = new Map<string, Seat>()
  readonly #listeners = new Listeners<NetworkEvent>()
  readonly #ending = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #logger: Logger
  #lastFile = ''
  /** The highest plan that a node says it goes by. */
  #heardEpoch = 0
  #cause = 'start'
  #working: Promise<void> | undefined
  #again = false

  private constructor(options: EmbeddedControllerOptions, drained: readonly string[]) {
    const { sites, memoryMs, periodMs = 1000, logger = debugLogger('qnl') } = options
    requireInteger('periodMs', periodMs, { min: 10, max: 60_000 })
    this.#options = options
    this.#ownPlanner = options.planner === undefined ? new PlanWorker() : undefined
    this.#planner = options.planner ?? this.#ownPlanner!
    this.#logger = logger
    this.#epochs = new EpochCounter(options.memory)
    const emit = (event: NetworkEvent) => {
      if (event.type === 'refused') logger.warn(event, 'A report was refused in part')
      this.#listeners.emit(event)
    }
    this.#board = new NetworkBoard({ sites, emit, drained, ...(memoryMs === undefined ? {} : { memoryMs }) })
    this.#timer = setInterval(() => this.#tick(), periodMs).unref()
  }

  /** Reads what a controller before this one left. @throws {StoreError} it cannot be read */
  static async open(options: EmbeddedControllerOptions): Promise<EmbeddedController> {
    return new EmbeddedController(options, await options.memory.drained())
  }

  join(siteId: string, onPlan: (plan: NodePlan) => void): NodeSeat {
    this.#requireOpen()
    this.#board.join(siteId, performance.now())
    void this.#seats.get(siteId)?.close()
    const seat = new Seat(siteId, {
      report: report => this.#report(seat, report),
      left: () => this.#leave(seat),
      onPlan,
    })
    this.#seats.set(siteId, seat)
    const plan = this.#board.nodePlan(siteId)
    if (plan !== undefined) seat.give(plan)
    return seat
  }

  async status({ signal }: AbortOptions = {}): Promise<NetworkStatus> {
    signal?.throwIfAborted()
    this.#requireOpen()
    return this.#board.status(this.#options.controllerId, performance.now())
  }

  async drain(target: DrainTarget, options: AbortOptions & { fillMs?: number } = {}): Promise<readonly string[]> {
    options.signal?.throwIfAborted()
    this.#requireOpen()
    const fillMs = requireInteger('fillMs', options.fillMs ?? 30_000, { min: 0, max: 86_400_000 })
    const linkIds = this.#board.linksOf(target)
    this.#board.drain(linkIds, { nowMs: performance.now(), fillMs })
    await this.#options.memory.setDrained(this.#board.links.drained())
    if (fillMs > 0) setTimeout(() => this.#tick(), fillMs + 1).unref()
    this.#plan('maintenance')
    return linkIds
  }

  async restore(target: DrainTarget, { signal }: AbortOptions = {}): Promise<readonly string[]> {
    signal?.throwIfAborted()
    this.#requireOpen()
    const linkIds = this.#board.linksOf(target)
    this.#board.links.restore(linkIds)
    await this.#options.memory.setDrained(this.#board.links.drained())
    this.#plan('maintenance')
    return linkIds
  }

  onEvent(listener: (event: NetworkEvent) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  async close(): Promise<void> {
    this.#ending.abort(new ClosedError('The controller is closed'))
    clearInterval(this.#timer)
    this.#listeners.clear()
    for (const seat of [...this.#seats.values()]) await seat.close()
    await this.#working
    await this.#ownPlanner?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #report(seat: Seat, report: NodeReport): void {
    if (this.#seats.get(seat.siteId) !== seat || this.#ending.signal.aborted) return
    if (this.#epochs.heard(report.epoch)) this.#heardEpoch = Math.max(this.#heardEpoch, report.epoch)
    // Whatever it says of itself: a node speaks for the site that it proved to be.
    const urgency = this.#board.report({ ...report, siteId: seat.siteId }, performance.now())
    if (urgency === 'topology') this.#plan('a link changed')
    else if (urgency === 'demand') this.#plan('a demand changed', { later: true })
  }

  #leave(seat: Seat): void {
    if (this.#seats.get(seat.siteId) !== seat) return
    this.#seats.delete(seat.siteId)
    this.#board.leave(seat.siteId, performance.now())
  }

  #tick(): void {
    if (this.#board.refresh(performance.now())) this.#cause = 'time'
    this.#plan(this.#cause)
  }

  /** Plans now, or, for a change of demand that has a grant from the room that is left, with the next tick. */
  #plan(cause: string, { later = false } = {}): void {
    this.#cause = cause
    if (this.#ending.signal.aborted) return
    if (this.#working !== undefined) {
      this.#again ||= !later
      return
    }
    this.#working = (later ? this.#renumberFor(board => board.serveBetweenPlans(performance.now())) : this.#planOnce())
      .catch((error: unknown) => this.#logger.error({ err: String(error) }, 'No plan'))
      .finally(() => {
        this.#working = undefined
        if (!this.#again) return
        this.#again = false
        this.#plan(this.#cause)
      })
  }

  async #planOnce(): Promise<void> {
    const { signal } = this.#ending
    // Who loses a path hears of it now, not when the new plan is there.
    await this.#renumberFor(board => board.cutDeadPaths())
    const file = this.#board.file(performance.now())
    const text = JSON.stringify({ ...file, demands: file.demands.map(({ deadlineMs, ...rest }) => rest) })
    // A node that goes by a plan of a higher number takes none of the present one, even where nothing else has changed.
    if (text === this.#lastFile && this.#heardEpoch <= this.#board.epoch) return
    const cause = this.#cause
    const beganMs = performance.now()
    const epoch = await this.#epochs.next()
    const plan = await this.#planner.plan(file, { epoch, signal })
    if (signal.aborted) return
    const nowMs = performance.now()
    this.#lastFile = text
    this.#board.adopt(plan, file, { nowMs, planMs: nowMs - beganMs })
    this.#tellAll()
    this.#listeners.emit({ type: 'plan', epoch, lambda: plan.lambda, gap: plan.gap, planMs: nowMs - beganMs, cause })
  }

  /** Changes the plan in force for some pairs, under a number of its own, and tells their ends. */
  async #renumberFor(change: (board: NetworkBoard) => string[]): Promise<void> {
    const pairs = change(this.#board)
    if (pairs.length === 0) return
    const epoch = await this.#epochs.next()
    if (this.#ending.signal.aborted) return
    this.#board.renumber(epoch)
    this.#lastFile = ''
    for (const siteId of this.#board.sitesOf(pairs)) this.#tell(siteId)
  }

  #tellAll(): void {
    for (const siteId of this.#seats.keys()) this.#tell(siteId)
  }

  #tell(siteId: string): void {
    const plan = this.#board.nodePlan(siteId)
    if (plan !== undefined) this.#seats.get(siteId)?.give(plan)
  }

  #requireOpen(): void {
    if (this.#ending.signal.aborted) throw new ClosedError('The controller is closed')
  }
}

class Seat implements NodeSeat {
  readonly siteId: string
  readonly #to: { report(report: NodeReport): void; left(): void; onPlan(plan: NodePlan): void }
  #closed = false

  constructor(siteId: string, to: { report(report: NodeReport): void; left(): void; onPlan(plan: NodePlan): void }) {
    this.siteId = siteId
    this.#to = to
  }

  report(report: NodeReport): void {
    if (!this.#closed) this.#to.report(report)
  }

  give(plan: NodePlan): void {
    if (this.#closed) return
    try {
      this.#to.onPlan(plan)
    } catch {
      // A node that fails must not keep the others from their plans.
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#to.left()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
