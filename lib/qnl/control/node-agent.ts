import type { Closable, Unsubscribe } from '../../interface/lifecycle.ts'
import type { NetworkController, NodeSeat } from '../../interface/network-controller.ts'
import type { NodePlan, NodeReport } from '../../interface/network-node.ts'
import { requireInteger } from '../../util/deadline.ts'
import { Listeners } from '../../util/listeners.ts'
import type { NeighbourWatch } from './neighbour-watch.ts'
import type { PlanMemory } from './plan-memory.ts'

/** A node as its agent needs it. */
export interface PlannedNode {
  readonly siteId: string
  /** Goes by the plan from now on; false where its epoch is not above the present one. */
  apply(plan: NodePlan): boolean
  report(): NodeReport
  /** Calls `listener` at each change of a link, a demand or the plan. */
  onReport(listener: (report: NodeReport) => void): Unsubscribe
}

/** What a `NodeAgent` joins. */
export interface NodeAgentOptions {
  readonly node: PlannedNode
  /** Stays the caller's, as the node does. */
  readonly controller: NetworkController
  /** Links to a neighbour that has fallen silent are reported as down. */
  readonly neighbours?: NeighbourWatch
  /** Where the last plan waits for the next start of this site. Default nowhere. */
  readonly memory?: PlanMemory
  /** A report without any change comes this often, in milliseconds, 10 to 60,000. Default 1,000. */
  readonly reportMs?: number
}

/** Between a node and its controller: reports each change at once, and gives the node its plans. */
export class NodeAgent implements Closable {
  readonly #options: NodeAgentOptions
  readonly #seat: NodeSeat
  readonly #timer: NodeJS.Timeout
  readonly #subscriptions: readonly (Unsubscribe | undefined)[]
  readonly #plans = new Listeners<NodePlan>()
  #pending = false
  #closed = false

  constructor(options: NodeAgentOptions) {
    const { node, controller, neighbours, memory, reportMs = 1000 } = options
    requireInteger('reportMs', reportMs, { min: 10, max: 60_000 })
    this.#options = options
    this.#subscriptions = [node.onReport(() => this.#soon()), neighbours?.onNews(() => this.#soon())]
    const remembered = memory?.plan
    if (remembered !== undefined) node.apply(remembered)
    this.#seat = controller.join(node.siteId, plan => {
      if (!node.apply(plan)) return
      memory?.remember(plan)
      this.#plans.emit(plan)
    })
    this.#timer = setInterval(() => this.#report(), reportMs).unref()
    this.#report()
  }

  /** Calls `listener` with each plan that the node goes by from then on. */
  onPlan(listener: (plan: NodePlan) => void): Unsubscribe {
    return this.#plans.add(listener)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    for (const unsubscribe of this.#subscriptions) unsubscribe?.()
    await this.#seat.close()
    await this.#options.memory?.settled()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Several changes of one moment are one report. */
  #soon(): void {
    if (this.#pending) return
    this.#pending = true
    setImmediate(() => {
      this.#pending = false
      if (!this.#closed) this.#report()
    })
  }

  #report(): void {
    const { node, neighbours } = this.#options
    const report = node.report()
    const links = report.links.map(link =>
      neighbours?.isSilent(link.remoteSiteId) ? { ...link, state: 'down' as const, rateBps: 0 } : link,
    )
    this.#seat.report({ ...report, links })
  }
}
