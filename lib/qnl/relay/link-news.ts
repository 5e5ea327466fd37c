import type { Link } from '../../interface/link.ts'
import type { BlockWay, LinkMark } from '../../interface/qnl.ts'
import type { RelayMessage } from './relay-wire.ts'

/** How often the other nodes hear of links that have changed, in milliseconds. */
const TELL_MS = 1000

/** Whose links, and who hears of them. */
export interface LinkNewsOptions {
  readonly siteId: string
  readonly links: readonly Link[]
  /** Sends to every other node that is connected. */
  readonly tellAll: (message: RelayMessage) => void
}

/**
 * What all links of the network are like, so that the end of a path can write down what its block came over. Each site
 * speaks for the links that end at it; a relay that lies of its own link lies of what it could read anyway.
 */
export class LinkNews {
  readonly #options: LinkNewsOptions
  /** By who said it, and the link. */
  readonly #heard = new Map<string, readonly LinkMark[]>()
  #told = ''
  #toldMs = Number.NEGATIVE_INFINITY

  constructor(options: LinkNewsOptions) {
    this.#options = options
  }

  /** This site's links, to be told to a node that has come. */
  message(): RelayMessage {
    return { type: 'news', links: this.#own() }
  }

  hear(siteId: string, { links }: Extract<RelayMessage, { type: 'news' }>): void {
    const isTheirs = ({ siteIds }: LinkMark) => siteIds.includes(siteId)
    this.#heard.set(siteId, links.filter(isTheirs))
  }

  /** Tells what has changed, every now and then. */
  sweep(): void {
    const nowMs = performance.now()
    if (nowMs - this.#toldMs < TELL_MS) return
    const message = this.message()
    const text = JSON.stringify(message)
    if (text === this.#told) return
    this.#toldMs = nowMs
    this.#told = text
    this.#options.tellAll(message)
  }

  /** The way with what is known of its links now; this site's own word goes before that of others. */
  complete(way: BlockWay): BlockWay {
    const byHop = new Map<string, LinkMark>()
    for (const marks of [...this.#heard.values(), this.#own()])
      for (const mark of marks) byHop.set(mark.siteIds.join('\n'), mark)
    const hops = new Set(way.shares.flat().flatMap(hopsOf))
    return { ...way, links: [...hops].sort().flatMap(hop => byHop.get(hop) ?? []) }
  }

  #own(): LinkMark[] {
    return this.#options.links.map(linkMark)
  }
}

/** A link as its status has it. */
export function linkMark(link: Link): LinkMark {
  const { linkId, localSiteId, remoteSiteId, secrecy, simulated, qber } = link.status()
  const siteIds = [localSiteId, remoteSiteId].sort() as [string, string]
  // Links measure more digits than they know, and every digit would be news.
  return { linkId, siteIds, secrecy, simulated, ...(qber !== undefined && { qber: Math.round(qber * 1e4) / 1e4 }) }
}

/** A way that has come to its end now; what its links are like is added by who knows. */
export function relayedWay(shares: BlockWay['shares'], sinceMs: number): BlockWay {
  return { shares, links: [], sinceMs, untilMs: Date.now() }
}

function hopsOf(path: readonly string[]): string[] {
  return path.slice(1).map((site, at) => [path[at]!, site].sort().join('\n'))
}
