import { ClosedError, InvalidArgumentError, NoRouteError } from '../../errors.ts'
import type { AbortOptions, Unsubscribe } from '../../interface/lifecycle.ts'
import type { LinkStatus } from '../../interface/link.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { NodePlan, NodeReport } from '../../interface/network-node.ts'
import type { Demand, DemandGrant, NextBlockOptions, Qnl, QnlBlock, QnlEvent, QnlStatus } from '../../interface/qnl.ts'
import { debugLogger } from '../../util/debug-logger.ts'
import { Listeners } from '../../util/listeners.ts'
import { checkDemand } from '../demand-book.ts'
import { RateNews } from '../rate-news.ts'
import { Announcer } from './announcer.ts'
import { type Grant, grantFor } from './grants.ts'
import { LinkNews } from './link-news.ts'
import { LinkPlane } from './link-plane.ts'
import { NodeDemands } from './node-demands.ts'
import { Pair } from './pair.ts'
import { PartnerLine } from './partner-line.ts'
import { RelayCounters } from './relay-counters.ts'
import { checkRelayOptions, type RelayLimits, type RelayNodeOptions, type RelayPartner } from './relay-options.ts'
import { RELAY_WIRE_VERSION, type RelayMessage } from './relay-wire.ts'
import { Transit } from './transit.ts'

const SWEEP_MS = 250
/** Callers that may wait for blocks at one node. */
const MAX_WAITING_CALLS = 256

/** One other site: the connection to its node, and the blocks between the two. */
interface Partner extends RelayPartner {
  readonly line: PartnerLine
  readonly pair: Pair
  grant: Grant
  /** Set while the connection is lost: no block comes to its end without it. */
  lost: boolean
}

/**
 * The network layer of a site in a network: takes key from its links, relays other sites' chunks, and makes blocks for
 * its own KMS along the paths of its plan. Before its first plan it serves its neighbours over their links; while its
 * controller is away it goes on with the last one.
 */
export class RelayNode implements Qnl {
  readonly siteId: string
  readonly counters: RelayCounters
  readonly #options: RelayNodeOptions
  readonly #limits: RelayLimits
  readonly #minShares: number
  readonly #logger: Logger
  readonly #links: LinkPlane
  readonly #transit: Transit
  readonly #announcer: Announcer
  readonly #news: LinkNews
  readonly #partners = new Map<string, Partner>()
  readonly #demands = new NodeDemands(remoteSiteId => this.#regrant(remoteSiteId))
  readonly #reports = new Listeners<NodeReport>()
  readonly #events = new Listeners<QnlEvent>()
  readonly #rateNews = new RateNews()
  #subscriptions: readonly Unsubscribe[] = []
  #timer: NodeJS.Timeout | undefined
  #plan: NodePlan | undefined
  #closing: Promise<void> | undefined

  /** @throws {InvalidArgumentError} a link of another site, a second one to a site, blocks of another size, a limit out of range */
  constructor(options: RelayNodeOptions) {
    const { siteId, telemetry, logger = debugLogger('qnl') } = options
    const { limits, minShares } = checkRelayOptions(options)
    this.siteId = siteId
    this.#options = options
    this.#limits = limits
    this.#minShares = minShares
    this.#logger = logger
    this.counters = new RelayCounters(telemetry)
    this.#links = new LinkPlane({
      ...options,
      limits,
      logger,
      counters: this.counters,
      lineTo: remoteSiteId => this.#partners.get(remoteSiteId)?.line,
      onChunk: (chunk, link) => {
        if (chunk.dest !== siteId || chunk.hop !== chunk.path.length - 1)
          this.#transit.forward(chunk, link.pool.remoteSiteId)
        else
          this.#arrive(
            chunk.source,
            pair => pair.chunk(chunk),
            () => chunk.content.wipe(),
          )
      },
      onSent: ({ source, dest, transfer }) => {
        if (source === siteId) this.#partners.get(dest)?.pair.sent(transfer)
      },
      onKey: () => this.#pump(),
    })
    const tellAll = (message: RelayMessage) => {
      for (const { line } of this.#partners.values()) line.send(message)
    }
    this.#news = new LinkNews({ siteId, links: options.links, tellAll })
    this.#announcer = new Announcer({
      siteId,
      lineTo: remoteSiteId => this.#partners.get(remoteSiteId)?.line,
      maxBytes: limits.transitBytes,
      onRefused: (reason, peerSiteId) => this.counters.refuse(reason, peerSiteId),
    })
    this.#transit = new Transit({
      onward: chunk => this.#announcer.onward(chunk),
      linkTo: remoteSiteId => this.#links.to(remoteSiteId),
      maxBytes: limits.transitBytes,
      onRefused: (reason, peerSiteId) => this.counters.refuse(reason, peerSiteId),
    })
  }

  /**
   * Reads the stock and dials the partners.
   * @throws {StoreError} the stock cannot be read
   */
  async open(): Promise<this> {
    await this.#links.open()
    for (const partner of this.#options.partners) {
      if (partner.siteId !== this.siteId) this.#partners.set(partner.siteId, this.#join(partner))
    }
    this.#subscriptions = this.#options.links.map(link => {
      let { state } = link.status()
      return link.onStatus(status => {
        this.#follow(status, state)
        state = status.state
      })
    })
    this.#regrantAll()
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS).unref()
    return this
  }

  /**
   * Goes by `plan` from now on. False, and nothing changes, where its epoch is not above the present one. Of a plan that
   * breaks what this site demands of a split, that demand is not served.
   */
  apply(plan: NodePlan): boolean {
    if (this.#closing !== undefined || plan.epoch <= this.#epoch) return false
    this.#plan = plan
    this.#options.telemetry?.emit({ type: 'plan', epoch: plan.epoch, gap: plan.gap })
    this.#options.telemetry?.gauge('qnl_plan_epoch', {}, plan.epoch)
    this.#regrantAll()
    this.#changed()
    return true
  }

  /** What the controller needs to know of this node, as it is now. */
  report(): NodeReport {
    const { siteId } = this
    return { siteId, epoch: this.#epoch, links: this.#links.reports(), demands: this.#demands.list() }
  }

  /** Calls `listener` with a fresh report whenever a link's state or rate, a demand or the plan changes. */
  onReport(listener: (report: NodeReport) => void): Unsubscribe {
    return this.#reports.add(listener)
  }

  /** Takes over a channel that a partner's node opened; one from anybody else is closed. */
  accept(channel: MessageChannel): void {
    const partner = [...this.#partners.values()].find(({ peerId }) => peerId === channel.peerId)
    const used = this.#closing === undefined ? partner?.line.attach(channel) : undefined
    ;(used ?? channel.close()).catch(() => {})
  }

  /** Key that is whole at both ends and waits for this site's KMS, in bits. */
  readyBits(remoteSiteId: string): number {
    return this.#partners.get(remoteSiteId)?.pair.readyBits ?? 0
  }

  async remoteSiteIds({ signal }: AbortOptions = {}): Promise<readonly string[]> {
    this.#requireOpen()
    signal?.throwIfAborted()
    return [...this.#partners.keys()].sort()
  }

  async setDemand(remoteSiteId: string, demand: Demand, { signal }: AbortOptions = {}): Promise<DemandGrant> {
    this.#requireOpen()
    signal?.throwIfAborted()
    const partner = this.#partnerAt(remoteSiteId)
    // What the site has laid down for the pair goes before what its KMS asks, and a split is never lowered.
    const mode = demand.mode === 'split' ? demand.mode : (partner.mode ?? demand.mode)
    // As many shares as this site wants at least, or more where its KMS does.
    const shares = Math.max(this.#minShares, demand.shares ?? 0)
    this.#demands.set(remoteSiteId, checkDemand({ ...demand, mode, ...(mode === 'split' && { shares }) }))
    const { rateBps } = this.#grant(partner)
    this.#answered(remoteSiteId, rateBps)
    this.#changed()
    return { rateBps, epoch: this.#epoch }
  }

  async nextBlock(remoteSiteId: string, options: NextBlockOptions = {}): Promise<QnlBlock> {
    this.#requireOpen()
    options.signal?.throwIfAborted()
    const { pair } = this.#partnerAt(remoteSiteId)
    let waiting = 0
    for (const partner of this.#partners.values()) waiting += partner.pair.waiting
    if (waiting >= MAX_WAITING_CALLS) {
      throw new InvalidArgumentError(`${MAX_WAITING_CALLS} callers wait for blocks: await some before asking for more`)
    }
    const block = await pair.take(options)
    return block.way === undefined ? block : { ...block, way: this.#news.complete(block.way) }
  }

  async status({ signal }: AbortOptions = {}): Promise<QnlStatus> {
    this.#requireOpen()
    signal?.throwIfAborted()
    const links = this.#options.links.map(link => ({
      ...link.status(),
      bufferedBits: this.readyBits(link.remoteSiteId),
    }))
    const demands = this.#demands.list().map(({ remoteSiteId, demand }) => {
      const grantedBps = this.#partners.get(remoteSiteId)?.grant.rateBps ?? 0
      return { remoteSiteId, askedBps: demand.rateBps, grantedBps }
    })
    return { siteId: this.siteId, epoch: this.#epoch, links, demands }
  }

  onEvent(listener: (event: QnlEvent) => void): Unsubscribe {
    return this.#events.add(listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    clearInterval(this.#timer)
    for (const unsubscribe of this.#subscriptions) unsubscribe()
    this.#demands.clear()
    this.#events.clear()
    this.#reports.clear()
    for (const { pair } of this.#partners.values()) pair.close(this.#closedError())
    await Promise.all([...this.#partners.values()].map(({ line }) => line.close()))
    await this.#links.close()
  }

  get #epoch(): number {
    return this.#plan?.epoch ?? 0
  }

  #join(partner: RelayPartner): Partner {
    const { siteId } = partner
    const line = new PartnerLine({
      partner,
      logger: this.#logger,
      hello: () => ({
        type: 'hello',
        version: RELAY_WIRE_VERSION,
        siteId: this.siteId,
        links: this.#links.hellos(siteId),
      }),
      onUp: hello => {
        this.#links.begin(siteId, hello.links)
        line.send(this.#news.message())
        this.#connected(siteId, true)
      },
      onMessage: message => this.#take(siteId, message),
      onFrame: bytes => {
        const link = this.#links.to(siteId)
        if (link === undefined) this.counters.refuse('no such link', siteId)
        else link.receive(bytes)
      },
      onMalformed: () => this.counters.refuse('malformed', siteId),
      onDown: () => {
        this.#links.end(siteId)
        this.#connected(siteId, false)
      },
    })
    const pair = new Pair({
      localSiteId: this.siteId,
      remoteSiteId: siteId,
      limits: this.#limits,
      domainOf: this.#domainOf,
      minShares: () => this.#minSharesFor(siteId),
      announces: partner.announce === true,
      linkTo: remoteSiteId => this.#links.to(remoteSiteId),
      send: message => line.send(message),
      onRefused: reason => this.counters.refuse(reason, siteId),
    })
    return { ...partner, line, pair, grant: grantFor(this.#ground(siteId)), lost: false }
  }

  #connected(siteId: string, up: boolean): void {
    const partner = this.#partners.get(siteId)
    if (partner === undefined) return
    partner.lost = !up
    if (up) partner.pair.begin()
    else partner.pair.part()
    this.#regrant(siteId)
  }

  #take(siteId: string, message: RelayMessage): void {
    if (message.type === 'news') this.#news.hear(siteId, message)
    else if (message.type === 'joint') this.#hearJoint(siteId, message)
    else if (!this.#links.message(siteId, message)) this.#partners.get(siteId)?.pair.message(message)
  }

  #hearJoint(siteId: string, message: Extract<RelayMessage, { type: 'joint' }>): void {
    const { dest, path, place } = message
    if (dest !== this.siteId) this.#announcer.forward(message, siteId)
    // From the relay itself, or by those after it: a site beside the path could have blocks given up with made-up words.
    else if (path.indexOf(siteId) < Math.max(1, place)) this.counters.refuse('not from that site', siteId)
    else
      this.#arrive(
        message.source,
        pair => pair.message(message),
        () => {},
      )
  }

  #arrive(source: string, use: (pair: Pair) => void, otherwise: () => void): void {
    const partner = this.#partners.get(source)
    if (partner !== undefined) use(partner.pair)
    else {
      otherwise()
      this.counters.refuse('unannounced', source)
    }
  }

  readonly #domainOf = (siteId: string): string =>
    this.#options.partners.find(partner => partner.siteId === siteId)?.domain ?? siteId

  /** What its KMS asks for counts against plan and other end as what the site has laid down. */
  #minSharesFor(remoteSiteId: string): number {
    return this.#demands.get(remoteSiteId)?.shares ?? this.#minShares
  }

  #ground(remoteSiteId: string) {
    const partner = this.#options.partners.find(({ siteId }) => siteId === remoteSiteId)!
    return {
      siteId: this.siteId,
      remoteSiteId,
      plan: this.#plan,
      demand: this.#demands.get(remoteSiteId),
      lost: this.#partners.get(remoteSiteId)?.lost ?? false,
      minShares: this.#minSharesFor(remoteSiteId),
      domainOf: this.#domainOf,
      partner,
      linkBps: (siteId: string) => {
        const status = this.#links.to(siteId)?.pool.link.status()
        return status === undefined ? undefined : status.state === 'down' ? 0 : status.rateBps
      },
    }
  }

  /** What the site is granted now, and the paths for it. */
  #grant(partner: Partner): Grant {
    const grant = grantFor(this.#ground(partner.siteId))
    partner.grant = grant
    const { routes, weight, splitOnly, rateBps } = grant
    partner.pair.setRoutes(routes, { weight, splitOnly })
    const askedBps = this.#demands.get(partner.siteId)?.rateBps ?? 0
    this.#options.telemetry?.emit({ type: 'demand', peerSiteId: partner.siteId, askedBps, grantedBps: rateBps })
    this.#options.telemetry?.gauge('qnl_granted_bps', { peer: partner.siteId }, rateBps)
    return grant
  }

  /** The same after something changed under a demand that stands: the KMS is told what that means for it. */
  #regrant(remoteSiteId: string): void {
    const partner = this.#partners.get(remoteSiteId)
    if (partner === undefined) return
    const wasBps = partner.grant.rateBps
    const { rateBps, reason = 'No reason given' } = this.#grant(partner)
    const askedBps = this.#demands.get(remoteSiteId)?.rateBps
    if (askedBps === undefined) {
      this.#answered(remoteSiteId, rateBps)
      return
    }
    const event = this.#rateNews.of({ remoteSiteId, askedBps, rateBps, wasBps, reason })
    if (event !== undefined) this.#events.emit(event)
  }

  #answered(remoteSiteId: string, rateBps: number): void {
    const askedBps = this.#demands.get(remoteSiteId)?.rateBps ?? 0
    const event = this.#rateNews.answered(remoteSiteId, { askedBps, rateBps })
    if (event !== undefined) this.#events.emit(event)
  }

  #regrantAll(): void {
    for (const remoteSiteId of this.#partners.keys()) this.#regrant(remoteSiteId)
  }

  #follow({ linkId, remoteSiteId, state, reason = 'No reason given' }: LinkStatus, was: LinkStatus['state']): void {
    if (state === 'down' && was !== 'down') this.#events.emit({ type: 'link-down', linkId, remoteSiteId, reason })
    this.#regrantAll()
    this.#changed()
  }

  #changed(): void {
    this.#reports.emit(this.report())
  }

  #pump(): void {
    for (const { pair } of this.#partners.values()) pair.pump()
  }

  #sweep(): void {
    this.#links.sweep()
    this.#news.sweep()
    for (const { pair } of this.#partners.values()) pair.sweep()
  }

  #partnerAt(remoteSiteId: string): Partner {
    const partner = this.#partners.get(remoteSiteId)
    if (partner !== undefined) return partner
    const known = [...this.#partners.keys()].sort().join('", "')
    throw new NoRouteError(`No path joins "${this.siteId}" and "${remoteSiteId}"; it shares key with "${known}"`)
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw this.#closedError()
  }

  #closedError(): ClosedError {
    return new ClosedError(`The QNL of site "${this.siteId}" is closed`)
  }
}
