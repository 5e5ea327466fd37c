import type { ColumnPool } from './column-pool.ts'
import { linkLoadsOf } from './flows.ts'
import type { Graph } from './graph.ts'
import type { NetworkFile } from './network.ts'
import type { PlannedDemand, PlannedLink, PlannedPath } from './plan.ts'
import type { Problem } from './problem.ts'

/** A plan in index form, and the file it is for. */
export interface AssembleOptions {
  readonly file: NetworkFile
  readonly problem: Problem
  readonly pool: ColumnPool
  readonly flows: Float64Array
}

/** The flows in the words of the file: rates and paths by demand, loads by link. */
export function assemblePlan(options: AssembleOptions): { demands: PlannedDemand[]; links: PlannedLink[] } {
  const { file, problem, pool, flows } = options
  const { graph, share, unserved } = problem
  const loads = linkLoadsOf(graph, pool, flows)
  const demands = file.demands.map(({ id }, demand): PlannedDemand => {
    const reason = unserved[demand]
    if (reason !== undefined) return { id, rateBps: 0, level: 0, paths: [], reason }
    const used = pool.byDemand[demand]!.filter(place => flows[place]! > 0).sort((p, q) => flows[q]! - flows[p]!)
    const rateBps = used.reduce((sum, place) => sum + flows[place]!, 0)
    return { id, rateBps, level: rateBps / share[demand]!, paths: describePaths(options, demand, used) }
  })
  const links = file.links.map(({ id, rateBps }, link): PlannedLink => {
    const loadBps = loads[link]!
    if (graph.switched[link] === 0) return { id, rateBps, loadBps }
    return { id, rateBps, loadBps, timeShare: loadBps === 0 ? 0 : loadBps / rateBps }
  })
  return { demands, links }
}

/** The paths of a demand's columns; those of one `split` column are a set and must meet in no relay. */
function describePaths(options: AssembleOptions, demand: number, places: readonly number[]): PlannedPath[] {
  const { file, problem, pool, flows } = options
  const { graph, source, pathsPerColumn } = problem
  const isSplit = pathsPerColumn[demand]! > 1
  return places.flatMap((place, set) => {
    const paths = pool.columns[place]!.paths.map(links => describePath({ file, graph }, source[demand]!, links))
    if (isSplit) requireDisjoint(paths)
    return paths.map(path => ({ ...path, rateBps: flows[place]!, ...(isSplit ? { set } : {}) }))
  })
}

/** Ids of the links of a path and of the nodes along it, from `source` on; the links may come from either end. */
export function describePath(
  { file, graph }: { file: NetworkFile; graph: Graph },
  source: number,
  links: readonly number[],
): { nodes: string[]; links: string[] } {
  const { endA, endB } = graph
  const first = links[0]!
  const ordered = endA[first] === source || endB[first] === source ? links : links.toReversed()
  let node = source
  const nodes = [file.nodes[node]!.id]
  for (const link of ordered) {
    node = endA[link] === node ? endB[link]! : endA[link]!
    nodes.push(file.nodes[node]!.id)
  }
  return { nodes, links: ordered.map(link => file.links[link]!.id) }
}

/** A set of shares that meet in a relay would hand it the key: never let one out, whatever search made it. */
function requireDisjoint(paths: readonly { readonly nodes: readonly string[] }[]): void {
  const relays = paths.flatMap(({ nodes }) => nodes.slice(1, -1))
  if (new Set(relays).size !== relays.length) throw new Error('The paths of a split demand meet in a relay')
}
