import { DistanceHeap } from './distance-heap.ts'
import type { Graph } from './graph.ts'

/** What to search for. */
export interface DisjointSearch {
  readonly source: number
  readonly target: number
  /** How many paths, at least 1. */
  readonly paths: number
  /** Non-negative link lengths. */
  readonly lengths: Float64Array
}

/**
 * The shortest set of paths that meet in no relay and on no link: a min-cost flow of unit paths through the graph with
 * every relay split into an entry and an exit of capacity 1 (Suurballe's method; Dijkstra with potentials).
 */
export class DisjointPaths {
  readonly #graph: Graph
  readonly #arcTail: Int32Array
  /** 1 on arcs that carry one of the paths found so far. */
  readonly #arcFlow: Uint8Array
  /** The arc by which a path enters a relay; -1 where none does. */
  readonly #entryArc: Int32Array
  /** States of the search: 2v is the entry of node v, 2v + 1 its exit. */
  readonly #distance: Float64Array
  readonly #potential: Float64Array
  readonly #previous: Int32Array
  /** Arc of the step into a state; -1 for the step between a node's entry and exit. */
  readonly #stepArc: Int32Array
  readonly #open: DistanceHeap

  constructor(graph: Graph) {
    const { nodeCount, arcStart, arcHead } = graph
    this.#graph = graph
    this.#arcTail = new Int32Array(arcHead.length)
    for (let node = 0; node < nodeCount; node++) this.#arcTail.fill(node, arcStart[node]!, arcStart[node + 1]!)
    this.#arcFlow = new Uint8Array(arcHead.length)
    this.#entryArc = new Int32Array(nodeCount)
    this.#distance = new Float64Array(2 * nodeCount)
    this.#potential = new Float64Array(2 * nodeCount)
    this.#previous = new Int32Array(2 * nodeCount)
    this.#stepArc = new Int32Array(2 * nodeCount)
    this.#open = new DistanceHeap(this.#distance)
  }

  /** Total length of the shortest set, or Infinity if there is no such set. */
  run(search: DisjointSearch): number {
    this.#arcFlow.fill(0)
    this.#entryArc.fill(-1)
    this.#potential.fill(0)
    let total = 0
    for (let count = 0; count < search.paths; count++) {
      if (!this.#findStep(search)) return Number.POSITIVE_INFINITY
      total += this.#potential[2 * search.target]! - this.#potential[2 * search.source + 1]!
      this.#augment(search)
    }
    return total
  }

  /** Links of each path of the last run, in order from its source. */
  paths({ source, target }: DisjointSearch): number[][] {
    const { arcStart, arcHead, arcLink } = this.#graph
    const paths: number[][] = []
    for (let first = arcStart[source]!; first < arcStart[source + 1]!; first++) {
      if (this.#arcFlow[first] === 0) continue
      const links = [arcLink[first]!]
      for (let node = arcHead[first]!; node !== target; ) {
        let arc = arcStart[node]!
        while (this.#arcFlow[arc] === 0) arc++
        links.push(arcLink[arc]!)
        node = arcHead[arc]!
      }
      paths.push(links)
    }
    return paths
  }

  /** Shortest step from the source's exit to the target's entry in what the paths so far leave; updates potentials. */
  #findStep({ source, target, lengths }: DisjointSearch): boolean {
    const { arcStart, arcHead, arcLink } = this.#graph
    const distance = this.#distance
    const potential = this.#potential
    const start = 2 * source + 1
    const goal = 2 * target
    distance.fill(Number.POSITIVE_INFINITY)
    distance[start] = 0
    this.#open.reset()
    this.#open.update(start)
    for (let state = this.#open.pop(); state >= 0 && state !== goal; state = this.#open.pop()) {
      const node = state >> 1
      const entry = this.#entryArc[node]!
      if (state === 2 * node) {
        // At an entry: on to the exit, or, where a path enters already, back along it.
        if (entry < 0) this.#relax(state, state + 1, 0, -1)
        else this.#relax(state, 2 * this.#arcTail[entry]! + 1, -lengths[arcLink[entry]!]!, entry)
        continue
      }
      if (entry >= 0) this.#relax(state, 2 * node, 0, -1)
      for (let arc = arcStart[node]!; arc < arcStart[node + 1]!; arc++) {
        const head = arcHead[arc]!
        if (head !== source && this.#arcFlow[arc] === 0) this.#relax(state, 2 * head, lengths[arcLink[arc]!]!, arc)
      }
    }
    const reached = distance[goal]!
    if (reached === Number.POSITIVE_INFINITY) return false
    for (let state = 0; state < potential.length; state++) potential[state]! += Math.min(distance[state]!, reached)
    return true
  }

  #relax(from: number, to: number, cost: number, arc: number): void {
    // Reduced costs are non-negative but for rounding.
    const reduced = Math.max(0, cost + this.#potential[from]! - this.#potential[to]!)
    const through = this.#distance[from]! + reduced
    if (!(through < this.#distance[to]!)) return
    this.#distance[to] = through
    this.#previous[to] = from
    this.#stepArc[to] = arc
    this.#open.update(to)
  }

  /** Adds the step to the paths: arcs taken forwards carry flow, arcs taken backwards no longer do. */
  #augment({ source, target }: DisjointSearch): void {
    const { arcHead } = this.#graph
    for (let state = 2 * target; state !== 2 * source + 1; state = this.#previous[state]!) {
      const arc = this.#stepArc[state]!
      if (arc < 0) continue
      const forwards = state % 2 === 0
      this.#arcFlow[arc] = forwards ? 1 : 0
      const head = arcHead[arc]!
      if (head !== target) this.#entryArc[head] = forwards ? arc : -1
    }
  }
}
