import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { LinkStock } from '../../lib/interface/link-stock.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import type { RoutedPath } from '../../lib/interface/network-node.ts'
import type { Demand } from '../../lib/interface/qnl.ts'
import type { SimulatedLink, SimulatedLinkSource } from '../../lib/qll/simulated-link.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { RelayNode } from '../../lib/qnl/relay/relay-node.ts'
import type { RelayLimits, RelayPartner, SplitBounds } from '../../lib/qnl/relay/relay-options.ts'

/** Sees or changes what one node sends to another. */
export type ChannelTap = (channel: MessageChannel, from: string, to: string) => MessageChannel

export interface RelayNetworkOptions {
  /** Links as pairs of site IDs, `a-b`. */
  readonly links: readonly `${string}-${string}`[]
  /** Default 100 Mb/s. */
  readonly rateBps?: number
  readonly limits?: Partial<RelayLimits>
  readonly tap?: ChannelTap
  /** Where a site's link key waits across restarts. Default nowhere. */
  readonly stock?: (siteId: string) => LinkStock | undefined
  readonly domains?: Readonly<Record<string, string>>
  /** What a site says of its pair with another. */
  readonly pairs?: (siteId: string, other: string) => Pick<RelayPartner, 'mode' | 'announce'>
  /** What a site demands of shares. */
  readonly splitOf?: (siteId: string) => SplitBounds
}

/** Nodes of a whole network in this process: every node talks to every other over channels in memory. */
export interface RelayNetwork extends AsyncDisposable {
  node(siteId: string): RelayNode
  link(linkId: string): SimulatedLinkSource
  /** Gives the sending site, and its partner, a plan of these paths: site IDs joined by `-`. */
  plan(demand: PlannedDemand): void
  /** Ends the channel between two nodes; they find each other again unless it is kept down. */
  cutChannel(a: string, b: string, options?: { keepDown?: boolean }): Promise<void>
  restoreChannel(a: string, b: string): void
}

export interface PlannedDemand {
  readonly paths: readonly string[]
  readonly mode?: Demand['mode']
  readonly rateBps?: number
  readonly weight?: number
}

/** Builds the network and opens all nodes. */
export async function createRelayNetwork(options: RelayNetworkOptions): Promise<RelayNetwork> {
  const { rateBps = 100_000_000, limits, tap = channel => channel, stock, domains = {} } = options
  const { pairs = () => ({}), splitOf } = options
  const siteIds = [...new Set(options.links.flatMap(link => link.split('-')))].sort()
  const ends = new Map<string, [SimulatedLinkSource, SimulatedLink]>()
  for (const linkId of options.links) {
    const [a, b] = linkId.split('-') as [string, string]
    ends.set(linkId, createSimulatedLinkPair({ linkId, siteIds: [a, b], rateBps, bufferBlocks: 16 }))
  }
  const nodes = new Map<string, RelayNode>()
  const channels = new Map<string, MessageChannel[]>()
  const down = new Set<string>()
  const epochs = { last: 0 }
  const keyOf = (a: string, b: string) => [a, b].sort().join('-')
  const dial = (from: string, to: string) => async () => {
    if (down.has(keyOf(from, to))) throw new Error('The network is cut')
    const [ours, theirs] = createMemoryChannelPair([`kme-${from}`, `kme-${to}`])
    channels.set(keyOf(from, to), [ours, theirs])
    nodes.get(to)!.accept(tap(theirs, to, from))
    return tap(ours, from, to)
  }
  for (const siteId of siteIds) {
    const links = [...ends.values()].flat().filter(link => link.localSiteId === siteId)
    const partners = siteIds
      .filter(other => other !== siteId)
      .map(other => ({
        siteId: other,
        peerId: `kme-${other}`,
        ...pairs(siteId, other),
        ...(domains[other] === undefined ? {} : { domain: domains[other] }),
        ...(siteId < other ? { dial: dial(siteId, other) } : {}),
      }))
    const own = {
      ...(limits === undefined ? {} : { limits }),
      ...(splitOf === undefined ? {} : { split: splitOf(siteId) }),
      ...(stock === undefined ? {} : { stock: stock(siteId) }),
    }
    nodes.set(siteId, new RelayNode({ siteId, links, partners, ...own }))
  }
  // The dialled before the dialling: those who sort last.
  for (const siteId of [...siteIds].reverse()) await nodes.get(siteId)!.open()
  return {
    node: siteId => nodes.get(siteId)!,
    link: linkId => ends.get(linkId)![0],
    plan: ({ paths, mode = 'multipath', rateBps: planned = 50_000_000, weight = 1 }) => {
      epochs.last += 1
      const routes = paths.map((path): RoutedPath => {
        const sites = path.split('-')
        const linkIds = sites.slice(1).map((site, i) => keyOf(sites[i]!, site))
        const rate = mode === 'split' ? planned : planned / paths.length
        return { sites, linkIds, rateBps: rate, ...(mode === 'split' ? { set: 0 } : {}) }
      })
      const [source, dest] = [routes[0]!.sites[0]!, routes[0]!.sites.at(-1)!]
      const common = { mode, weight, rateBps: planned }
      nodes
        .get(source)!
        .apply({ epoch: epochs.last, gap: 0, demands: [{ ...common, remoteSiteId: dest, paths: routes }] })
      nodes.get(dest)!.apply({ epoch: epochs.last, gap: 0, demands: [{ ...common, remoteSiteId: source, paths: [] }] })
    },
    cutChannel: async (a, b, { keepDown = false } = {}) => {
      if (keepDown) down.add(keyOf(a, b))
      for (const channel of channels.get(keyOf(a, b)) ?? []) await channel.close()
    },
    restoreChannel: (a, b) => void down.delete(keyOf(a, b)),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...nodes.values()].map(node => node.close()))
      await Promise.all([...ends.values()].flat().map(link => link.close()))
    },
  }
}
