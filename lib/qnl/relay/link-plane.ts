import type { Link } from '../../interface/link.ts'
import type { Logger } from '../../interface/logger.ts'
import type { LinkReport } from '../../interface/network-node.ts'
import { requireLinkOf } from '../link-of-site.ts'
import type { Chunk, ChunkId } from './frame.ts'
import { LinkPool } from './link-pool.ts'
import { LinkTraffic } from './link-traffic.ts'
import { MemoryLinkStock } from './memory-link-stock.ts'
import type { PartnerLine } from './partner-line.ts'
import type { RelayCounters } from './relay-counters.ts'
import type { RelayLimits, RelayNodeOptions } from './relay-options.ts'
import type { LinkHello, RelayMessage } from './relay-wire.ts'

/** How often the ends of a link compare their stocks, in milliseconds. */
const COMPARE_MS = 2000

/** The links of a site, and whom they tell. */
export interface LinkPlaneOptions extends Pick<RelayNodeOptions, 'siteId' | 'links' | 'stock'> {
  readonly limits: RelayLimits
  readonly logger: Logger
  readonly counters: RelayCounters
  readonly lineTo: (siteId: string) => PartnerLine | undefined
  /** A chunk came over that link, authenticated. */
  readonly onChunk: (chunk: Chunk, link: LinkTraffic) => void
  /** A chunk has left over a link. */
  readonly onSent: (chunk: ChunkId) => void
  /** More can be sent over a link than a moment ago. */
  readonly onKey: () => void
}

/** All links of a site with their pools and traffic. */
export class LinkPlane {
  readonly #options: LinkPlaneOptions
  readonly #byNeighbour = new Map<string, LinkTraffic>()
  readonly #ownStock: MemoryLinkStock | undefined
  #comparedMs = 0

  /** @throws {InvalidArgumentError} a link of another site, a second one to a site, or blocks of another size */
  constructor(options: LinkPlaneOptions) {
    this.#options = options
    this.#ownStock = options.stock === undefined ? new MemoryLinkStock() : undefined
    for (const link of options.links) this.#add(link)
  }

  to(siteId: string): LinkTraffic | undefined {
    return this.#byNeighbour.get(siteId)
  }

  get neighbours(): readonly string[] {
    return [...this.#byNeighbour.keys()]
  }

  async open(): Promise<void> {
    await Promise.all([...this.#byNeighbour.values()].map(({ pool }) => pool.open()))
  }

  /** What is said of the common link when the connection to a neighbour begins. */
  hellos(siteId: string): readonly LinkHello[] {
    const traffic = this.to(siteId)
    return traffic === undefined ? [] : [traffic.pool.hello()]
  }

  /** The connection to a neighbour is there. */
  begin(siteId: string, hellos: readonly LinkHello[]): void {
    const traffic = this.to(siteId)
    const hello = hellos.find(({ linkId }) => linkId === traffic?.pool.linkId)
    if (traffic === undefined || hello === undefined) return
    traffic.begin()
    this.#options.counters.met(hello.linkId)
    traffic.pool.meet(hello).catch(error => this.#complain(hello.linkId, error))
  }

  /** It is lost. */
  end(siteId: string): void {
    const traffic = this.to(siteId)
    traffic?.end()
    traffic?.pool.part()
  }

  /** A neighbour's message about the key of the common link; false for another message. */
  message(siteId: string, message: RelayMessage): boolean {
    if (message.type !== 'lease' && message.type !== 'leased' && message.type !== 'stock') return false
    const pool = this.to(siteId)?.pool
    const linkId = message.type === 'stock' ? message.link.linkId : message.linkId
    if (pool === undefined || pool.linkId !== linkId) return true
    if (message.type === 'leased') pool.leased(message)
    else if (message.type === 'lease') void pool.lease(message)
    else pool.compare(message.link).catch(error => this.#complain(linkId, error))
    return true
  }

  /** Throws away what has waited for too long, and lets the ends of each link compare what they have. */
  sweep(): void {
    const nowMs = performance.now()
    if (nowMs - this.#comparedMs > COMPARE_MS) {
      this.#comparedMs = nowMs
      for (const { pool } of this.#byNeighbour.values()) pool.sweep()
    }
    const oldestMs = performance.now() - this.#options.limits.blockLifeMs
    for (const traffic of this.#byNeighbour.values()) {
      const old = traffic.discard(chunk => chunk.sinceMs < oldestMs)
      for (let i = 0; i < old; i += 1) this.#options.counters.refuse('too old', traffic.pool.remoteSiteId)
      traffic.wake()
    }
  }

  reports(): LinkReport[] {
    return [...this.#byNeighbour.values()].map(({ pool }) => {
      const { linkId, remoteSiteId, state, secrecy, rateBps } = pool.link.status()
      return { linkId, remoteSiteId, state, secrecy, rateBps, stockBits: pool.stockBits }
    })
  }

  async close(): Promise<void> {
    for (const { pool } of this.#byNeighbour.values()) await pool.close()
    await this.#ownStock?.close()
  }

  #complain(linkId: string, error: unknown): void {
    this.#options.logger.warn({ linkId, error: String(error) }, 'The stock of a link cannot be used')
  }

  #add(link: Link): void {
    const { siteId, stock = this.#ownStock!, limits, logger, counters, lineTo, onChunk, onSent, onKey } = this.#options
    const { linkId, remoteSiteId } = link
    requireLinkOf(siteId, link, this.to(remoteSiteId)?.pool)
    const line = () => lineTo(remoteSiteId)
    const traffic: LinkTraffic = new LinkTraffic({
      pool: new LinkPool({
        link,
        stock,
        maxBlocks: limits.stockBlocks,
        settleMs: limits.settleMs,
        logger,
        send: message => line()?.send(message),
        onKey: () => {
          traffic.wake()
          onKey()
        },
        onBurned: (bytes, reason) => counters.burn(bytes, reason, linkId),
      }),
      send: async frame => await line()?.sendBytes(frame),
      onSent,
      onChunk: chunk => onChunk(chunk, traffic),
      onRefused: reason => counters.refuse(reason, remoteSiteId),
    })
    this.#byNeighbour.set(remoteSiteId, traffic)
  }
}
