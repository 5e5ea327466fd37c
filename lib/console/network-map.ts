import type { LinkStatus } from '../interface/link.ts'
import type { NetworkStatus } from '../interface/network-controller.ts'
import { layOut } from './map-layout.ts'
import type { MapLink, MapSection, MapSite } from './sections.ts'

/** What a site knows of the network by itself. */
export interface Neighbourhood {
  readonly siteId: string
  readonly links: readonly LinkStatus[]
  /** Other sites, and whether their KMSs are connected. */
  readonly peers: readonly { readonly siteId: string; readonly connected: boolean }[]
}

/** Draws up the map, and keeps the places of its sites for as long as there are the same sites and links. */
export class NetworkMap {
  #shape = ''
  #places: ReturnType<typeof layOut> = new Map()

  /** The whole network, as its controller sees it; the own links with what only their ends know. */
  ofNetwork({ sites, links }: NetworkStatus, own?: Neighbourhood): MapSection {
    const known = new Map(own?.links.map(link => [link.linkId, link]))
    const drawn = links.map(({ linkId, a, b, state, rateBps, loadBps, secrecy, damped, drain }): MapLink => {
      const end = known.get(linkId)
      const out = drain ?? (damped ? 'damped' : undefined)
      return {
        ...{ linkId, a, b, state, secrecy: wordFor(secrecy, end?.simulated ?? false) },
        ...{ rateBps: Math.round(rateBps), loadBps: Math.round(loadBps) },
        ...(out !== undefined && { out }),
        ...(end?.qber !== undefined && { qber: end.qber }),
        ...(end?.reason !== undefined && { reason: end.reason }),
      }
    })
    const state = ({ siteId, state: joined }: NetworkStatus['sites'][number]) =>
      siteId === own?.siteId ? 'here' : joined
    return this.#placed(
      'controller',
      sites.map(site => [site.siteId, state(site)]),
      drawn,
    )
  }

  /** The own links, and the sites at their ends. */
  ofNeighbours({ siteId, links, peers }: Neighbourhood): MapSection {
    const sites = new Map<string, MapSite['state']>([[siteId, 'here']])
    for (const peer of peers) sites.set(peer.siteId, peer.connected ? 'joined' : 'away')
    for (const { remoteSiteId } of links) if (!sites.has(remoteSiteId)) sites.set(remoteSiteId, 'unknown')
    const drawn = links.map(
      ({ linkId, localSiteId: a, remoteSiteId: b, state, reason, rateBps, qber, secrecy, simulated }): MapLink => ({
        ...{ linkId, a, b, state, rateBps: Math.round(rateBps), secrecy: wordFor(secrecy, simulated) },
        ...(qber !== undefined && { qber }),
        ...(reason !== undefined && { reason }),
      }),
    )
    return this.#placed('neighbours', [...sites], drawn)
  }

  #placed(
    seenBy: MapSection['seenBy'],
    sites: readonly (readonly [siteId: string, state: MapSite['state']])[],
    links: readonly MapLink[],
  ): MapSection {
    const siteIds = sites.map(([siteId]) => siteId)
    const ends = links.filter(({ a, b }) => siteIds.includes(a) && siteIds.includes(b))
    const shape = JSON.stringify([siteIds, ends.map(({ a, b }) => [a, b])])
    if (shape !== this.#shape) {
      this.#places = layOut(siteIds, ends)
      this.#shape = shape
    }
    const place = (siteId: string) => {
      const { x, y } = this.#places.get(siteId)!
      return { x: rounded(x), y: rounded(y) }
    }
    return { seenBy, sites: sites.map(([siteId, state]) => ({ siteId, state, ...place(siteId) })), links: ends }
  }
}

function wordFor(secrecy: LinkStatus['secrecy'], simulated: boolean): string {
  const word = { quantum: 'quantum', computational: 'post-quantum', none: 'no secrecy' }[secrecy]
  return simulated && secrecy === 'quantum' ? 'quantum (simulated)' : word
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
