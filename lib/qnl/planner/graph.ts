import type { NetworkFile } from './network.ts'

/**
 * The network in index form: arcs of usable links by node, and what a bit over each link takes of which resource.
 * Resources are the links themselves and the switched time of sites with `modules`, each of capacity 1.
 */
export interface Graph {
  readonly nodeCount: number
  readonly linkCount: number
  readonly resourceCount: number
  /** Bits per second by link. */
  readonly capacity: Float64Array
  readonly endA: Int32Array
  readonly endB: Int32Array
  /** Arcs that leave node v: from arcStart[v] to arcStart[v + 1] in arcHead and arcLink. */
  readonly arcStart: Int32Array
  readonly arcHead: Int32Array
  readonly arcLink: Int32Array
  /** Uses of link e: from useStart[e] to useStart[e + 1] in useResource and useShare. */
  readonly useStart: Int32Array
  readonly useResource: Int32Array
  /** Share of the resource that 1 bit per second over the link takes. */
  readonly useShare: Float64Array
  /** 1 where an end of the link is switched. */
  readonly switched: Uint8Array
}

/** Index of each id; callers have checked that ids are unique. */
export function indexById(items: readonly { readonly id: string }[]): Map<string, number> {
  return new Map(items.map((item, index) => [item.id, index]))
}

/** Links that cannot carry key (rate 0, or a site without modules) get no arcs and no uses. */
export function buildGraph({ nodes, links }: NetworkFile): Graph {
  const nodeIndex = indexById(nodes)
  const linkCount = links.length
  const capacity = Float64Array.from(links, link => link.rateBps)
  const endA = Int32Array.from(links, link => nodeIndex.get(link.a)!)
  const endB = Int32Array.from(links, link => nodeIndex.get(link.b)!)
  const modules = nodes.map(node => node.modules)
  const switched = new Uint8Array(linkCount)
  const arcStart = new Int32Array(nodes.length + 1)
  const useStart = new Int32Array(linkCount + 1)
  const uses: { resource: number; share: number }[] = []
  let resourceCount = linkCount
  const timeResource = modules.map(count => (count === undefined ? -1 : resourceCount++))
  for (let link = 0; link < linkCount; link++) {
    const ends = [endA[link]!, endB[link]!]
    const switchedEnds = ends.filter(end => modules[end] !== undefined)
    switched[link] = switchedEnds.length > 0 ? 1 : 0
    if (capacity[link]! > 0 && switchedEnds.every(end => modules[end]! > 0)) {
      uses.push({ resource: link, share: 1 / capacity[link]! })
      for (const end of switchedEnds)
        uses.push({ resource: timeResource[end]!, share: 1 / (capacity[link]! * modules[end]!) })
      for (const end of ends) arcStart[end + 1]!++
    }
    useStart[link + 1] = uses.length
  }
  for (let node = 0; node < nodes.length; node++) arcStart[node + 1]! += arcStart[node]!
  const next = arcStart.slice()
  const arcHead = new Int32Array(arcStart[nodes.length]!)
  const arcLink = new Int32Array(arcHead.length)
  for (let link = 0; link < linkCount; link++) {
    if (useStart[link] === useStart[link + 1]) continue
    for (const [from, to] of [
      [endA[link]!, endB[link]!],
      [endB[link]!, endA[link]!],
    ] as const) {
      const arc = next[from]!++
      arcHead[arc] = to
      arcLink[arc] = link
    }
  }
  return {
    nodeCount: nodes.length,
    linkCount,
    resourceCount,
    capacity,
    endA,
    endB,
    arcStart,
    arcHead,
    arcLink,
    useStart,
    useResource: Int32Array.from(uses, use => use.resource),
    useShare: Float64Array.from(uses, use => use.share),
    switched,
  }
}

/** Length of every link under resource prices: what one bit per second over it costs. */
export function priceLinks(graph: Graph, prices: Float64Array, lengths: Float64Array): void {
  const { linkCount, useStart, useResource, useShare } = graph
  for (let link = 0; link < linkCount; link++) {
    let length = 0
    for (let use = useStart[link]!; use < useStart[link + 1]!; use++)
      length += useShare[use]! * prices[useResource[use]!]!
    lengths[link] = length
  }
}

/** Share of every resource that is taken under link loads in bits per second. */
export function resourceLoads(graph: Graph, linkLoads: Float64Array): Float64Array {
  const { linkCount, resourceCount, useStart, useResource, useShare } = graph
  const loads = new Float64Array(resourceCount)
  for (let link = 0; link < linkCount; link++) {
    for (let use = useStart[link]!; use < useStart[link + 1]!; use++) {
      loads[useResource[use]!]! += useShare[use]! * linkLoads[link]!
    }
  }
  return loads
}

/** Visits what one bit per second over these paths takes: a switched relay's time comes twice, once for each link. */
export function forEachUse(
  { useStart, useResource, useShare }: Graph,
  paths: readonly (readonly number[])[],
  visit: (resource: number, share: number) => void,
): void {
  for (const path of paths) {
    for (const link of path) {
      for (let use = useStart[link]!; use < useStart[link + 1]!; use++) visit(useResource[use]!, useShare[use]!)
    }
  }
}
