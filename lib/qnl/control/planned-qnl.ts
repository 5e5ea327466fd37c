import type { AbortOptions, Unsubscribe } from '../../interface/lifecycle.ts'
import type { Demand, DemandGrant, NextBlockOptions, Qnl, QnlBlock, QnlEvent, QnlStatus } from '../../interface/qnl.ts'
import { abortable } from '../../util/deadline.ts'
import { isSameDemand } from '../same-demand.ts'

/** How long a demand waits for the plan that it brings about, in milliseconds: a period of the controller and its work. */
const PLAN_MS = 2000

/** What a `PlannedQnl` hears of plans by. */
export interface PlanNews {
  /** Calls `listener` once the node goes by another plan. */
  onPlan(listener: () => void): Unsubscribe
}

/**
 * The node as its KMS sees it: a demand is answered when the controller has planned with it, or after two seconds with what
 * is granted until then. Answered before, every greater demand would look refused, and the KMS would ask for less and less.
 * Node and news stay the caller's.
 */
export class PlannedQnl implements Qnl {
  readonly #node: Qnl
  readonly #news: PlanNews
  /** What each pair asked for last. */
  readonly #asked = new Map<string, Demand>()

  constructor(node: Qnl, news: PlanNews) {
    this.#node = node
    this.#news = news
  }

  get siteId(): string {
    return this.#node.siteId
  }

  remoteSiteIds(options?: AbortOptions): Promise<readonly string[]> {
    return this.#node.remoteSiteIds(options)
  }

  async setDemand(remoteSiteId: string, demand: Demand, options: AbortOptions = {}): Promise<DemandGrant> {
    const last = this.#asked.get(remoteSiteId)
    // No plan comes of a demand that says anew how full its pool is.
    if (last !== undefined && isSameDemand(last, demand))
      return await this.#node.setDemand(remoteSiteId, demand, options)
    let planned: () => void = () => {}
    const plan = new Promise<void>(resolve => {
      planned = resolve
    })
    const timer = setTimeout(planned, PLAN_MS).unref()
    const stop = this.#news.onPlan(planned)
    try {
      const first = await this.#node.setDemand(remoteSiteId, demand, options)
      this.#asked.set(remoteSiteId, demand)
      if (first.rateBps >= demand.rateBps) return first
      await abortable(plan, options)
      return await this.#granted(remoteSiteId, demand, options)
    } finally {
      clearTimeout(timer)
      stop()
    }
  }

  nextBlock(remoteSiteId: string, options?: NextBlockOptions): Promise<QnlBlock> {
    return this.#node.nextBlock(remoteSiteId, options)
  }

  status(options?: AbortOptions): Promise<QnlStatus> {
    return this.#node.status(options)
  }

  onEvent(listener: (event: QnlEvent) => void): Unsubscribe {
    return this.#node.onEvent(listener)
  }

  close(options?: AbortOptions): Promise<void> {
    return this.#node.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #granted(remoteSiteId: string, demand: Demand, options: AbortOptions): Promise<DemandGrant> {
    const { demands, epoch } = await this.#node.status(options)
    const granted = demands.find(each => each.remoteSiteId === remoteSiteId)?.grantedBps ?? 0
    return { rateBps: Math.min(demand.rateBps, granted), epoch }
  }
}
