import type { Paths } from './column-pool.ts'
import { DisjointPaths } from './disjoint-paths.ts'
import type { Problem } from './problem.ts'
import { DIRECT_ONLY } from './reach.ts'
import { ShortestPaths } from './shortest-paths.ts'

/** Told of each demand the length of its shortest column; may ask for that column before it returns. */
export type PriceVisitor = (demand: number, length: number, takeColumn: () => Paths) => void

/** Finds the shortest column of every demand: one tree for all demands of a site, a min-cost flow for each `split` one. */
export class Pricer {
  readonly #problem: Problem
  readonly #trees: readonly DemandGroup[]
  readonly #others: readonly number[]
  readonly #locked: ReadonlyMap<number, Paths>
  readonly #shortest: ShortestPaths
  readonly #disjoint: DisjointPaths

  /** `locked` demands have one column, and no other is looked for. */
  constructor(problem: Problem, demands: Int32Array, locked: ReadonlyMap<number, Paths> = new Map()) {
    const free = demands.filter(demand => !locked.has(demand))
    this.#problem = problem
    this.#locked = new Map([...demands].flatMap(demand => (locked.has(demand) ? [[demand, locked.get(demand)!]] : [])))
    this.#shortest = new ShortestPaths(problem.graph)
    this.#disjoint = new DisjointPaths(problem.graph)
    this.#trees = groupByRoot(
      problem,
      free.filter(demand => problem.pathsPerColumn[demand] === 1),
    )
    this.#others = [...free.filter(demand => problem.pathsPerColumn[demand] !== 1)]
  }

  /** How many searches for paths a run takes. */
  get searches(): number {
    const { pathsPerColumn } = this.#problem
    return this.#trees.length + this.#others.reduce((sum, demand) => sum + 2 * pathsPerColumn[demand]!, 1)
  }

  /** Visits all demands under non-negative link lengths. */
  run(lengths: Float64Array, visit: PriceVisitor): void {
    const { source, target, pathsPerColumn } = this.#problem
    for (const { root, demands } of this.#trees) {
      this.#shortest.run(root, lengths)
      for (const demand of demands) {
        const far = source[demand] === root ? target[demand]! : source[demand]!
        visit(demand, this.#shortest.distance[far]!, () => [this.#shortest.path(root, far)])
      }
    }
    for (const demand of this.#others) {
      const paths = pathsPerColumn[demand]!
      const search = { source: source[demand]!, target: target[demand]!, paths, lengths }
      if (paths === DIRECT_ONLY) {
        const link = this.#shortestDirect(search.source, search.target, lengths)
        visit(demand, lengths[link]!, () => [[link]])
      } else visit(demand, this.#disjoint.run(search), () => this.#disjoint.paths(search))
    }
    for (const [demand, paths] of this.#locked) {
      let length = 0
      for (const path of paths) for (const link of path) length += lengths[link]!
      visit(demand, length, () => paths)
    }
  }

  #shortestDirect(a: number, b: number, lengths: Float64Array): number {
    const { arcStart, arcHead, arcLink } = this.#problem.graph
    let best = -1
    for (let arc = arcStart[a]!; arc < arcStart[a + 1]!; arc++) {
      if (arcHead[arc] !== b) continue
      const link = arcLink[arc]!
      if (best < 0 || lengths[link]! < lengths[best]!) best = link
    }
    return best
  }
}

/** Demands that share an end. */
export interface DemandGroup {
  readonly root: number
  readonly demands: readonly number[]
}

/** Each demand goes with that of its ends which has more demands, so that few trees serve them all. */
export function groupByRoot({ graph, source, target }: Problem, demands: Int32Array): DemandGroup[] {
  const degree = new Int32Array(graph.nodeCount)
  for (const demand of demands) {
    degree[source[demand]!]!++
    degree[target[demand]!]!++
  }
  const groups = new Map<number, number[]>()
  for (const demand of demands) {
    const a = source[demand]!
    const b = target[demand]!
    const root = degree[a]! > degree[b]! || (degree[a] === degree[b] && a < b) ? a : b
    const group = groups.get(root)
    if (group === undefined) groups.set(root, [demand])
    else group.push(demand)
  }
  return [...groups].map(([root, members]) => ({ root, demands: members }))
}
