import { DistanceHeap } from './distance-heap.ts'
import type { Graph } from './graph.ts'

/** Dijkstra's algorithm from one node to all, on typed arrays that are reused from run to run. */
export class ShortestPaths {
  /** Distance of each node from the last run's source; Infinity where there is no path. */
  readonly distance: Float64Array
  readonly #graph: Graph
  readonly #previousNode: Int32Array
  readonly #previousLink: Int32Array
  readonly #open: DistanceHeap

  constructor(graph: Graph) {
    this.#graph = graph
    this.distance = new Float64Array(graph.nodeCount)
    this.#previousNode = new Int32Array(graph.nodeCount)
    this.#previousLink = new Int32Array(graph.nodeCount)
    this.#open = new DistanceHeap(this.distance)
  }

  /** Distances from `source` under non-negative link lengths. */
  run(source: number, lengths: Float64Array): void {
    const { arcStart, arcHead, arcLink } = this.#graph
    const distance = this.distance
    const open = this.#open
    distance.fill(Number.POSITIVE_INFINITY)
    distance[source] = 0
    open.reset()
    open.update(source)
    for (let node = open.pop(); node >= 0; node = open.pop()) {
      const nodeDistance = distance[node]!
      const end = arcStart[node + 1]!
      for (let arc = arcStart[node]!; arc < end; arc++) {
        const head = arcHead[arc]!
        const through = nodeDistance + lengths[arcLink[arc]!]!
        // Written so that a length that is no number ends nothing but its own path.
        if (!(through < distance[head]!)) continue
        distance[head] = through
        this.#previousNode[head] = node
        this.#previousLink[head] = arcLink[arc]!
        open.update(head)
      }
    }
  }

  /** Links of the shortest path from the last run's `source` to `node`, in order. */
  path(source: number, node: number): number[] {
    const links: number[] = []
    for (let at = node; at !== source; at = this.#previousNode[at]!) links.push(this.#previousLink[at]!)
    return links.reverse()
  }
}
