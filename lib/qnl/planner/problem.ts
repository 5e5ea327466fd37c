import { buildGraph, type Graph, indexById } from './graph.ts'
import type { NetworkDemand, NetworkFile } from './network.ts'
import { findReach } from './reach.ts'

/** Network and demands in index form: what all planning steps work on. */
export interface Problem {
  readonly graph: Graph
  readonly demandCount: number
  readonly source: Int32Array
  readonly target: Int32Array
  /** weight × rateBps: what a demand gets at level 1, in bits per second. */
  readonly share: Float64Array
  /** Highest useful rate, in bits per second; Infinity without a limit. */
  readonly limit: Float64Array
  /** Node-disjoint paths that a column of the demand has: 1 but for `split`; may be `DIRECT_ONLY`. */
  readonly pathsPerColumn: Int32Array
  /** 1 where all flow must take the same path. */
  readonly single: Uint8Array
  /** Why a demand cannot be served at all; undefined where it can. */
  readonly unserved: readonly (string | undefined)[]
  /** Demands in the order they are planned: each group after the ones before it. */
  readonly tiers: readonly Int32Array[]
}

/** `file` must have been checked. */
export function buildProblem(file: NetworkFile): Problem {
  const graph = buildGraph(file)
  const nodeIndex = indexById(file.nodes)
  const { demands } = file
  const source = Int32Array.from(demands, demand => nodeIndex.get(demand.a)!)
  const target = Int32Array.from(demands, demand => nodeIndex.get(demand.b)!)
  const wanted = Int32Array.from(demands, demand => (demand.mode === 'split' ? (demand.shares ?? 2) : 1))
  const reach = findReach({ graph, source, target, wanted })
  const unserved = demands.map((demand, index) => (demand.rateBps === 0 ? 'no rate asked for' : reach.reasons[index]))
  return {
    graph,
    demandCount: demands.length,
    source,
    target,
    share: Float64Array.from(demands, demand => (demand.weight ?? 1) * demand.rateBps),
    limit: Float64Array.from(demands, rateLimit),
    pathsPerColumn: reach.pathsPerColumn,
    single: Uint8Array.from(demands, demand => (demand.mode === 'single' ? 1 : 0)),
    unserved,
    tiers: orderTiers(demands, unserved),
  }
}

/** A demand with a deadline is served first, so it gets no more than it asked for: it would starve the rest. */
function rateLimit({ limitBps, deadlineMs, rateBps }: NetworkDemand): number {
  return limitBps ?? (deadlineMs === undefined ? Number.POSITIVE_INFINITY : rateBps)
}

function orderTiers(demands: readonly NetworkDemand[], unserved: readonly (string | undefined)[]): Int32Array[] {
  const tiers = new Map<number, number[]>()
  demands.forEach((demand, index) => {
    if (unserved[index] !== undefined) return
    const rank = 2 * (demand.priority ?? 0) + (demand.deadlineMs === undefined ? 0 : 1)
    const tier = tiers.get(rank)
    if (tier === undefined) tiers.set(rank, [index])
    else tier.push(index)
  })
  return [...tiers].toSorted(([p], [q]) => q - p).map(([, members]) => Int32Array.from(members))
}
