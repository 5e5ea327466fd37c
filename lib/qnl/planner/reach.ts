import { DisjointPaths } from './disjoint-paths.ts'
import type { Graph } from './graph.ts'

/**
 * Paths of a column that may be nothing but a link between both ends: a `split` demand whose shares find no paths apart
 * is served by it, because over that link alone no relay learns anything.
 */
export const DIRECT_ONLY = 0

interface ReachInput {
  readonly graph: Graph
  readonly source: Int32Array
  readonly target: Int32Array
  /** Node-disjoint paths that each demand wants at once. */
  readonly wanted: Int32Array
}

interface Reach {
  /** Why a demand has no route; undefined where it has one. */
  readonly reasons: readonly (string | undefined)[]
  /** Paths of each column: the number wanted, or `DIRECT_ONLY`. */
  readonly pathsPerColumn: Int32Array
}

/** Finds which demands have a route at all. */
export function findReach({ graph, source, target, wanted }: ReachInput): Reach {
  const component = findComponents(graph)
  const disjoint = new DisjointPaths(graph)
  const lengths = new Float64Array(graph.linkCount).fill(1)
  const pathsPerColumn = wanted.slice()
  const reasons = Array.from(wanted, (paths, demand): string | undefined => {
    const from = source[demand]!
    const to = target[demand]!
    if (component[from] !== component[to]) return 'no path of links joins the two sites'
    if (paths === 1) return undefined
    if (disjoint.run({ source: from, target: to, paths, lengths }) < Number.POSITIVE_INFINITY) return undefined
    if (!areNeighbours(graph, from, to)) return `no ${paths} node-disjoint paths join the two sites`
    pathsPerColumn[demand] = DIRECT_ONLY
    return undefined
  })
  return { reasons, pathsPerColumn }
}

function findComponents({ nodeCount, arcStart, arcHead }: Graph): Int32Array {
  const component = new Int32Array(nodeCount).fill(-1)
  for (let root = 0; root < nodeCount; root++) {
    if (component[root] !== -1) continue
    const stack = [root]
    component[root] = root
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      for (let arc = arcStart[node]!; arc < arcStart[node + 1]!; arc++) {
        const head = arcHead[arc]!
        if (component[head] !== -1) continue
        component[head] = root
        stack.push(head)
      }
    }
  }
  return component
}

function areNeighbours({ arcStart, arcHead }: Graph, a: number, b: number): boolean {
  for (let arc = arcStart[a]!; arc < arcStart[a + 1]!; arc++) if (arcHead[arc] === b) return true
  return false
}
