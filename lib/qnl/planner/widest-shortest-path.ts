import type { Graph } from './graph.ts'

/** Where a path is looked for. */
export interface RoomSearch {
  readonly graph: Graph
  readonly source: number
  readonly target: number
  /** Bits per second that each link still takes. */
  readonly room: Float64Array
  /** Links with less room than this are passed by; above 0. */
  readonly least: number
}

/** Links of the widest-shortest path: of those of fewest links the one whose narrowest link has most room. */
export function findWidestShortest({ graph, source, target, room, least }: RoomSearch): number[] | undefined {
  const { nodeCount, arcStart, arcHead, arcLink } = graph
  const hops = new Int32Array(nodeCount).fill(-1)
  const width = new Float64Array(nodeCount)
  const previousNode = new Int32Array(nodeCount)
  const previousLink = new Int32Array(nodeCount)
  hops[source] = 0
  width[source] = Number.POSITIVE_INFINITY
  // Breadth first, so that when a node's turn comes, all nodes before it have told it how wide they are.
  const queue = [source]
  for (const node of queue) {
    if (hops[target]! >= 0 && hops[node]! >= hops[target]!) break
    for (let arc = arcStart[node]!; arc < arcStart[node + 1]!; arc++) {
      const head = arcHead[arc]!
      const link = arcLink[arc]!
      if (room[link]! < least) continue
      if (hops[head] === -1) {
        hops[head] = hops[node]! + 1
        queue.push(head)
      }
      const through = Math.min(width[node]!, room[link]!)
      if (hops[head] !== hops[node]! + 1 || through <= width[head]!) continue
      width[head] = through
      previousNode[head] = node
      previousLink[head] = link
    }
  }
  if (hops[target] === -1) return undefined
  const links: number[] = []
  for (let at = target; at !== source; at = previousNode[at]!) links.push(previousLink[at]!)
  return links.reverse()
}

/** What `find` gives for the largest of the thresholds that it finds anything for, if any. `find` must be monotone. */
export function findAtLargest<T>(thresholds: Iterable<number>, find: (least: number) => T | undefined): T | undefined {
  const sorted = [...new Set(thresholds)].sort((p, q) => p - q)
  let found: T | undefined
  let low = 0
  let high = sorted.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const result = find(sorted[middle]!)
    if (result === undefined) high = middle - 1
    else {
      found = result
      low = middle + 1
    }
  }
  return found
}
