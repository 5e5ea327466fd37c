import { ClosedError, InvalidArgumentError, NoRouteError } from '../errors.ts'
import type { AbortOptions, Unsubscribe } from '../interface/lifecycle.ts'
import type { Link, LinkStatus } from '../interface/link.ts'
import type { Demand, DemandGrant, NextBlockOptions, Qnl, QnlBlock, QnlEvent, QnlStatus } from '../interface/qnl.ts'
import type { Telemetry } from '../interface/telemetry.ts'
import { Listeners } from '../util/listeners.ts'
import { checkDemand, DemandBook } from './demand-book.ts'
import { requireLinkOf } from './link-of-site.ts'
import { RateNews } from './rate-news.ts'
import { linkMark } from './relay/link-news.ts'

/** Callers that may wait for a block at one QNL. */
export const MAX_WAITING_CALLS = 256
/** There is nothing to plan without relays: every grant stands in the one plan. */
const EPOCH = 1

/** What a `DirectQnl` is made from. */
export interface DirectQnlOptions {
  siteId: string
  /** One link to each neighbour, with blocks of 32,000 bytes. They stay the caller's, who closes them after the QNL. */
  links: readonly Link[]
  /** Where demands and grants are reported. Default nowhere. */
  telemetry?: Telemetry
}

/**
 * A network layer that knows direct neighbours only: a block of a link is the block of the pool, under the link's
 * number. A demand is granted what the link yields; blocks come as they are taken, with or without a demand.
 */
export class DirectQnl implements Qnl {
  readonly siteId: string
  readonly #links: ReadonlyMap<string, Link>
  readonly #telemetry: Telemetry | undefined
  readonly #demands = new DemandBook(remoteSiteId => this.#answer(remoteSiteId, 0))
  readonly #listeners = new Listeners<QnlEvent>()
  readonly #news = new RateNews()
  readonly #subscriptions: readonly Unsubscribe[]
  readonly #waits = new Set<AbortController>()
  #closed = false

  /** @throws {InvalidArgumentError} a link of another site, a second one to a site, or blocks of another size */
  constructor({ siteId, links, telemetry }: DirectQnlOptions) {
    this.siteId = siteId
    this.#telemetry = telemetry
    this.#links = linksByNeighbour(siteId, links)
    this.#subscriptions = links.map(link => {
      let last = link.status()
      return link.onStatus(status => {
        this.#follow(status, last)
        last = status
      })
    })
    telemetry?.gauge('qnl_plan_epoch', {}, EPOCH)
  }

  async remoteSiteIds(): Promise<readonly string[]> {
    this.#requireOpen()
    return [...this.#links.keys()].sort()
  }

  async setDemand(remoteSiteId: string, demand: Demand, { signal }: AbortOptions = {}): Promise<DemandGrant> {
    this.#requireOpen()
    signal?.throwIfAborted()
    const link = this.#linkTo(remoteSiteId)
    const checked = checkDemand(demand)
    const grant = { rateBps: grantedBps(checked.rateBps, link.status()), epoch: EPOCH }
    this.#demands.set(remoteSiteId, checked, grant)
    this.#answer(remoteSiteId, grant.rateBps)
    return grant
  }

  async nextBlock(remoteSiteId: string, { signal, after }: NextBlockOptions = {}): Promise<QnlBlock> {
    this.#requireOpen()
    signal?.throwIfAborted()
    const link = this.#linkTo(remoteSiteId)
    if (this.#waits.size >= MAX_WAITING_CALLS) {
      throw new InvalidArgumentError(`${MAX_WAITING_CALLS} callers wait for blocks: await some before asking for more`)
    }
    const wait = new AbortController()
    const onAbort = () => wait.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#waits.add(wait)
    try {
      const { number, secret } = await link.nextBlock({ signal: wait.signal, ...(after !== undefined && { after }) })
      const trustClass = link.status().secrecy === 'computational' ? 'post-quantum' : 'direct'
      const [sinceMs, shares] = [Date.now(), [[[this.siteId, remoteSiteId]]]]
      const way = { shares, links: [linkMark(link)], sinceMs, untilMs: sinceMs }
      return { remoteSiteId, number, secret, trustClass, relays: [], way }
    } finally {
      this.#waits.delete(wait)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async status({ signal }: AbortOptions = {}): Promise<QnlStatus> {
    this.#requireOpen()
    signal?.throwIfAborted()
    const links = [...this.#links.values()].map(link => link.status())
    return { siteId: this.siteId, epoch: EPOCH, links, demands: this.#demands.list() }
  }

  onEvent(listener: (event: QnlEvent) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const unsubscribe of this.#subscriptions) unsubscribe()
    for (const wait of [...this.#waits]) wait.abort(this.#closedError())
    this.#demands.clear()
    this.#listeners.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Turns a change of a link into events, and into a new grant for the demand that stands on it. */
  #follow(status: LinkStatus, last: LinkStatus): void {
    const { linkId, remoteSiteId } = status
    const reason = status.reason ?? 'No reason given'
    if (status.state === 'down' && last.state !== 'down') {
      this.#listeners.emit({ type: 'link-down', linkId, remoteSiteId, reason })
    }
    const askedBps = this.#demands.askedBps(remoteSiteId)
    const rateBps = grantedBps(askedBps, status)
    const wasBps = this.#demands.regrant(remoteSiteId, rateBps)
    if (rateBps === wasBps) return
    this.#report(remoteSiteId, rateBps)
    const event = this.#news.of({ remoteSiteId, askedBps, rateBps, wasBps, reason })
    if (event !== undefined) this.#listeners.emit(event)
  }

  /** Of a demand that is new, or is over. */
  #answer(remoteSiteId: string, rateBps: number): void {
    this.#report(remoteSiteId, rateBps)
    const askedBps = this.#demands.askedBps(remoteSiteId)
    const event = this.#news.answered(remoteSiteId, { askedBps, rateBps })
    if (event !== undefined) this.#listeners.emit(event)
  }

  #report(peerSiteId: string, rateBps: number): void {
    const askedBps = this.#demands.askedBps(peerSiteId)
    this.#telemetry?.emit({ type: 'demand', peerSiteId, askedBps, grantedBps: rateBps })
    this.#telemetry?.gauge('qnl_granted_bps', { peer: peerSiteId }, rateBps)
  }

  #linkTo(remoteSiteId: string): Link {
    const link = this.#links.get(remoteSiteId)
    if (link !== undefined) return link
    const known = [...this.#links.keys()].sort().join('", "')
    throw new NoRouteError(`No link joins "${this.siteId}" and "${remoteSiteId}"; its neighbours are "${known}"`)
  }

  #requireOpen(): void {
    if (this.#closed) throw this.#closedError()
  }

  #closedError(): ClosedError {
    return new ClosedError(`The QNL of site "${this.siteId}" is closed`)
  }
}

function grantedBps(askedBps: number, { state, rateBps }: LinkStatus): number {
  return state === 'down' ? 0 : Math.min(askedBps, rateBps)
}

function linksByNeighbour(siteId: string, links: readonly Link[]): ReadonlyMap<string, Link> {
  const byNeighbour = new Map<string, Link>()
  for (const link of links) {
    requireLinkOf(siteId, link, byNeighbour.get(link.remoteSiteId))
    byNeighbour.set(link.remoteSiteId, link)
  }
  return byNeighbour
}
