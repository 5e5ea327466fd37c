import type { Unsubscribe } from '../../lib/interface/lifecycle.ts'
import type { LinkReport, NodePlan, NodeReport } from '../../lib/interface/network-node.ts'
import type { Demand } from '../../lib/interface/qnl.ts'
import type { PlannedNode } from '../../lib/qnl/control/node-agent.ts'
import type { NetworkFile } from '../../lib/qnl/planner/network.ts'
import { Listeners } from '../../lib/util/listeners.ts'

/** A node with links and demands that a test sets, and no key: for what only plans and reports. */
export class ReportingNode implements PlannedNode {
  readonly siteId: string
  readonly plans = new Listeners<NodePlan>()
  readonly #links = new Map<string, LinkReport>()
  readonly #demands = new Map<string, Demand>()
  readonly #reports = new Listeners<NodeReport>()
  plan: NodePlan | undefined

  constructor(siteId: string) {
    this.siteId = siteId
  }

  /** The nodes of a network file, each with its links, and each demand at the site that is its `a`. */
  static allOf({ nodes, links, demands }: NetworkFile): Map<string, ReportingNode> {
    const all = new Map(nodes.map(({ id }) => [id, new ReportingNode(id)]))
    for (const { id, a, b, rateBps } of links) {
      all.get(a)!.setLink(id, b, { rateBps })
      all.get(b)!.setLink(id, a, { rateBps })
    }
    for (const { a, b, rateBps, weight = 1, mode = 'multipath' } of demands) {
      all.get(a)!.setDemand(b, { rateBps, weight, mode, kind: 'continuous' })
    }
    return all
  }

  setLink(linkId: string, remoteSiteId: string, change: Partial<LinkReport>): void {
    const known = this.#links.get(linkId) ?? {
      linkId,
      remoteSiteId,
      state: 'up' as const,
      secrecy: 'none' as const,
      rateBps: 0,
      stockBits: 0,
    }
    this.#links.set(linkId, { ...known, ...change })
    this.#reports.emit(this.report())
  }

  setDemand(remoteSiteId: string, demand: Demand): void {
    this.#demands.set(remoteSiteId, demand)
    this.#reports.emit(this.report())
  }

  apply(plan: NodePlan): boolean {
    if (plan.epoch <= (this.plan?.epoch ?? 0)) return false
    this.plan = plan
    this.plans.emit(plan)
    return true
  }

  report(): NodeReport {
    const demands = [...this.#demands].map(([remoteSiteId, demand]) => ({ remoteSiteId, demand }))
    return { siteId: this.siteId, epoch: this.plan?.epoch ?? 0, links: [...this.#links.values()], demands }
  }

  onReport(listener: (report: NodeReport) => void): Unsubscribe {
    return this.#reports.add(listener)
  }
}
