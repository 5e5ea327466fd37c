import type { ColumnPool } from './column-pool.ts'
import type { Graph } from './graph.ts'

/** Flow from one root to the nodes that want it. */
export interface RootedFlow {
  readonly root: number
  /** Bits per second by arc; used up by the decomposition. */
  readonly arcFlows: Float64Array
  /** What each demand of the root gets, and where. */
  readonly wanted: readonly { readonly demand: number; readonly node: number; readonly rateBps: number }[]
}

/** Below this share of what a demand wants, flow is the solver's rounding. */
const NEGLIGIBLE = 1e-9

/**
 * Takes the flow apart into paths, widest first so that they are few, and reports each with its rate. Circulations, which
 * an interior solution is full of, are left over.
 */
export function decomposeFlow(options: {
  graph: Graph
  flow: RootedFlow
  pool: ColumnPool
  report(place: number, rateBps: number): void
}): void {
  const { graph, flow, pool, report } = options
  const { root, arcFlows, wanted } = flow
  const tree = new WidestTree(graph, arcFlows)
  tree.grow(root)
  for (const { demand, node, rateBps } of wanted) {
    let missing = rateBps
    while (missing > NEGLIGIBLE * rateBps) {
      let width = tree.widthNow(root, node)
      if (width < Math.min(missing, NEGLIGIBLE * rateBps)) {
        tree.grow(root)
        width = tree.widthNow(root, node)
        if (width < NEGLIGIBLE * rateBps) break
      }
      const amount = Math.min(width, missing)
      report(pool.placeOf(demand, [tree.take(root, node, amount)]), amount)
      missing -= amount
    }
  }
}

/** Widest paths from a root over the flow that is left. */
class WidestTree {
  readonly #graph: Graph
  readonly #arcFlows: Float64Array
  readonly #arcTail: Int32Array
  readonly #entryArc: Int32Array
  readonly #width: Float64Array
  readonly #done: Uint8Array

  constructor(graph: Graph, arcFlows: Float64Array) {
    const { nodeCount, arcStart, arcHead } = graph
    this.#graph = graph
    this.#arcFlows = arcFlows
    this.#arcTail = new Int32Array(arcHead.length)
    for (let node = 0; node < nodeCount; node++) this.#arcTail.fill(node, arcStart[node]!, arcStart[node + 1]!)
    this.#entryArc = new Int32Array(nodeCount)
    this.#width = new Float64Array(nodeCount)
    this.#done = new Uint8Array(nodeCount)
  }

  /** Finds the widest path to every node anew (Dijkstra's algorithm, dense form: these graphs are small). */
  grow(root: number): void {
    const { nodeCount, arcStart, arcHead } = this.#graph
    this.#width.fill(0)
    this.#done.fill(0)
    this.#entryArc.fill(-1)
    this.#width[root] = Number.POSITIVE_INFINITY
    for (;;) {
      let node = -1
      for (let other = 0; other < nodeCount; other++) {
        if (this.#done[other] === 0 && (node < 0 || this.#width[other]! > this.#width[node]!)) node = other
      }
      if (node < 0 || this.#width[node] === 0) return
      this.#done[node] = 1
      for (let arc = arcStart[node]!; arc < arcStart[node + 1]!; arc++) {
        const head = arcHead[arc]!
        const width = Math.min(this.#width[node]!, this.#arcFlows[arc]!)
        if (this.#done[head] === 1 || width <= this.#width[head]!) continue
        this.#width[head] = width
        this.#entryArc[head] = arc
      }
    }
  }

  /** What the tree's path to `node` still carries. */
  widthNow(root: number, node: number): number {
    let width = Number.POSITIVE_INFINITY
    for (let at = node; at !== root; ) {
      const arc = this.#entryArc[at]!
      if (arc < 0) return 0
      width = Math.min(width, this.#arcFlows[arc]!)
      at = this.#arcTail[arc]!
    }
    return width
  }

  /** Uses up `amount` along the tree's path to `node` and returns its links from the root on. */
  take(root: number, node: number, amount: number): number[] {
    const links: number[] = []
    for (let at = node; at !== root; ) {
      const arc = this.#entryArc[at]!
      this.#arcFlows[arc]! -= amount
      links.push(this.#graph.arcLink[arc]!)
      at = this.#arcTail[arc]!
    }
    return links.reverse()
  }
}
