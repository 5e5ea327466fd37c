import { ClosedError, NoRouteError } from '../../errors.ts'
import type { AbortOptions, Unsubscribe } from '../../interface/lifecycle.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { NodePlan, NodeReport } from '../../interface/network-node.ts'
import type { Demand, DemandGrant, NextBlockOptions, Qnl, QnlBlock, QnlEvent, QnlStatus } from '../../interface/qnl.ts'
import { Listeners } from '../../util/listeners.ts'
import { checkDemand } from '../demand-book.ts'
import { DirectQnl } from '../direct-qnl.ts'
import type { RelayNodeOptions } from './relay-options.ts'

/**
 * The network layer of a site in a network: takes key from its links, relays other sites' chunks, and makes blocks for
 * its own KMS along the paths of its plan. Before its first plan it serves its neighbours over their links.
 */
export class RelayNode implements Qnl {
  readonly siteId: string
  readonly #options: RelayNodeOptions
  readonly #direct: DirectQnl
  readonly #demands = new Map<string, Demand>()
  readonly #reports = new Listeners<NodeReport>()
  readonly #subscriptions: readonly Unsubscribe[]
  #plan: NodePlan | undefined

  /** @throws {InvalidArgumentError} a link of another site, a second one to a site, or blocks of another size */
  constructor(options: RelayNodeOptions) {
    this.siteId = options.siteId
    this.#options = options
    const { siteId, links, telemetry } = options
    this.#direct = new DirectQnl({ siteId, links, ...(telemetry === undefined ? {} : { telemetry }) })
    this.#subscriptions = links.map(link => link.onStatus(() => this.#reports.emit(this.report())))
  }

  /** Reads the stock and dials the partners. */
  async open(): Promise<this> {
    return this
  }

  /**
   * Goes by `plan` from now on. False, and nothing changes, where its epoch is not above the present one or it breaks
   * what this site demands of a split.
   */
  apply(plan: NodePlan): boolean {
    if (plan.epoch <= (this.#plan?.epoch ?? 0)) return false
    this.#plan = plan
    this.#options.telemetry?.emit({ type: 'plan', epoch: plan.epoch, gap: plan.gap })
    this.#reports.emit(this.report())
    return true
  }

  /** What the controller needs to know of this node, as it is now. */
  report(): NodeReport {
    const links = this.#options.links.map(link => {
      const { linkId, remoteSiteId, state, secrecy, rateBps, bufferedBits } = link.status()
      return { linkId, remoteSiteId, state, secrecy, rateBps, stockBits: bufferedBits }
    })
    const demands = [...this.#demands].map(([remoteSiteId, demand]) => ({ remoteSiteId, demand }))
    return { siteId: this.siteId, epoch: this.#plan?.epoch ?? 0, links, demands }
  }

  /** Calls `listener` with a fresh report whenever a link's state or rate, a demand or the plan changes. */
  onReport(listener: (report: NodeReport) => void): Unsubscribe {
    return this.#reports.add(listener)
  }

  /** Takes over a channel that a partner opened; one from anybody else is closed. */
  accept(channel: MessageChannel): void {
    channel.close().catch(() => {})
  }

  async remoteSiteIds(options: AbortOptions = {}): Promise<readonly string[]> {
    const neighbours = await this.#direct.remoteSiteIds()
    options.signal?.throwIfAborted()
    return [...new Set([...neighbours, ...this.#options.partners.map(({ siteId }) => siteId)])].sort()
  }

  async setDemand(remoteSiteId: string, demand: Demand, options: AbortOptions = {}): Promise<DemandGrant> {
    options.signal?.throwIfAborted()
    const checked = checkDemand(demand)
    await this.#requireRoute(remoteSiteId)
    if (checked.rateBps === 0) this.#demands.delete(remoteSiteId)
    else this.#demands.set(remoteSiteId, checked)
    this.#reports.emit(this.report())
    const planned = this.#plan?.demands.find(each => each.remoteSiteId === remoteSiteId)
    if (planned === undefined && this.#isNeighbour(remoteSiteId)) {
      return await this.#direct.setDemand(remoteSiteId, demand, options)
    }
    return { rateBps: Math.min(checked.rateBps, planned?.rateBps ?? 0), epoch: this.#plan?.epoch ?? 0 }
  }

  async nextBlock(remoteSiteId: string, options: NextBlockOptions = {}): Promise<QnlBlock> {
    await this.#requireRoute(remoteSiteId)
    return await this.#direct.nextBlock(remoteSiteId, options)
  }

  async status(options: AbortOptions = {}): Promise<QnlStatus> {
    const status = await this.#direct.status(options)
    return { ...status, epoch: this.#plan?.epoch ?? 0 }
  }

  onEvent(listener: (event: QnlEvent) => void): Unsubscribe {
    return this.#direct.onEvent(listener)
  }

  async close(): Promise<void> {
    for (const unsubscribe of this.#subscriptions) unsubscribe()
    this.#reports.clear()
    await this.#direct.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #isNeighbour(remoteSiteId: string): boolean {
    return this.#options.links.some(link => link.remoteSiteId === remoteSiteId)
  }

  async #requireRoute(remoteSiteId: string): Promise<void> {
    const known = await this.remoteSiteIds()
    if (known.includes(remoteSiteId)) return
    throw new NoRouteError(`No path joins "${this.siteId}" and "${remoteSiteId}"; known are "${known.join('", "')}"`)
  }
}

/** The error of everything that is asked of a closed node. */
export function nodeClosed(siteId: string): ClosedError {
  return new ClosedError(`The QNL of site "${siteId}" is closed`)
}
