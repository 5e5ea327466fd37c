import type { ColumnPool } from './column-pool.ts'
import { forEachUse, type Graph, resourceLoads } from './graph.ts'

/** Flow of less than this part of its demand's rate is rounding and is dropped. */
const NEGLIGIBLE = 1e-9

/** Bits per second on each link under flows on the columns of the pool. */
export function linkLoadsOf(graph: Graph, pool: ColumnPool, flows: ArrayLike<number>): Float64Array {
  const loads = new Float64Array(graph.linkCount)
  for (let place = 0; place < flows.length; place++) {
    const flow = flows[place] ?? 0
    if (flow === 0) continue
    for (const path of pool.columns[place]!.paths) for (const link of path) loads[link]! += flow
  }
  return loads
}

/** Share of each resource that the flows take. */
export function loadsOf(graph: Graph, pool: ColumnPool, flows: ArrayLike<number>): Float64Array {
  return resourceLoads(graph, linkLoadsOf(graph, pool, flows))
}

/** Bits per second of each demand. */
export function ratesOf(pool: ColumnPool, flows: ArrayLike<number>): Float64Array {
  const rates = new Float64Array(pool.byDemand.length)
  for (let place = 0; place < flows.length; place++) rates[pool.columns[place]!.demand]! += flows[place] ?? 0
  return rates
}

/** Drops rounding, and lowers what a demand got beyond its rate by right, so that it is there to be given out. */
export function trimFlows(pool: ColumnPool, flows: ArrayLike<number>, rates: Float64Array): Float64Array {
  const given = ratesOf(pool, flows)
  return Float64Array.from(pool.columns, ({ demand }, place) => {
    const flow = flows[place] ?? 0
    if (flow <= NEGLIGIBLE * given[demand]!) return 0
    return given[demand]! > rates[demand]! ? (flow * rates[demand]!) / given[demand]! : flow
  })
}

/** Lowers flows until no resource is overdrawn: a linear program's answer is feasible only within its tolerance. */
export function fitFlows(graph: Graph, pool: ColumnPool, flows: ArrayLike<number>): Float64Array {
  const loads = loadsOf(graph, pool, flows)
  return Float64Array.from(pool.columns, ({ paths }, place) => {
    let fullest = 1
    forEachUse(graph, paths, resource => {
      fullest = Math.max(fullest, loads[resource]!)
    })
    return (flows[place] ?? 0) / fullest
  })
}
