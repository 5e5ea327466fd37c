import type { ColumnPool, Paths } from './column-pool.ts'
import { loadsOf } from './flows.ts'
import { forEachUse } from './graph.ts'
import type { Problem } from './problem.ts'
import { ShortestPaths } from './shortest-paths.ts'

export interface SinglePathOptions {
  readonly problem: Problem
  /** The demands that must take one path each. */
  readonly demands: readonly number[]
  readonly pool: ColumnPool
  /** The plan that may split them. */
  readonly flows: ArrayLike<number>
  /** The level of that plan. */
  readonly lambda: number
}

/** How sharply the fullest resource dominates, round by round: loose rounds shake the plan up, sharp ones settle it. */
const SHARPNESS = [4, 8, 16, 32, 64, 128, 256]
/** By what power of e prices are wrong in each round of a cycle, at most. */
const NOISE = [6, 4, 2, 0, 0, 0, 0]
/** Searches for a path in all; with few demands they are many rounds each. */
const SEARCHES = 12_000
const MAX_CYCLES = 40

/**
 * Chooses one path for each demand so that the fullest resource is as empty as possible. Local search: demand after demand
 * takes the path that raises the sum of exp(sharpness × load) least, from loose to sharp, over and over; the best plan on
 * the way counts. The problem is NP-hard, so this is no optimum: the plan's gap says how far from one it can be.
 */
export function chooseSinglePaths(options: SinglePathOptions): Map<number, Paths> {
  const { problem, demands, pool, flows, lambda } = options
  const { graph, share, source, target } = problem
  const choice = new Map(demands.map(demand => [demand, widestColumn(pool, flows, demand)]))
  if (lambda === 0) return choice
  const isSingle = new Uint8Array(problem.demandCount)
  for (const demand of demands) isSingle[demand] = 1
  const others = Float64Array.from(flows, (flow, place) => (isSingle[pool.columns[place]!.demand] === 1 ? 0 : flow))
  const loads = loadsOf(graph, pool, others)
  const shift = (paths: Paths, amount: number) =>
    forEachUse(graph, paths, (resource, part) => {
      loads[resource]! += part * amount
    })
  for (const [demand, paths] of choice) shift(paths, lambda * share[demand]!)
  let best = { fullest: maximum(loads), choice: new Map(choice) }
  const search = new ShortestPaths(graph)
  const lengths = new Float64Array(graph.linkCount)
  const random = repeatableRandom()
  const order = demands.toSorted((p, q) => share[q]! - share[p]!)
  const cycles = Math.max(1, Math.min(MAX_CYCLES, Math.floor(SEARCHES / (demands.length * SHARPNESS.length))))
  for (let round = 0; round < cycles * SHARPNESS.length; round++) {
    const phase = round % SHARPNESS.length
    const sharpness = SHARPNESS[phase]! / maximum(loads)
    // The first cycle is not disturbed; later ones begin with prices that are wrong at random, so that they end elsewhere.
    const noise = round === phase ? 0 : NOISE[phase]!
    for (const demand of order) {
      const amount = lambda * share[demand]!
      shift(choice.get(demand)!, -amount)
      priceAmount(problem, loads, { sharpness, amount, lengths })
      if (noise > 0) for (let link = 0; link < lengths.length; link++) lengths[link]! *= Math.exp(noise * random())
      search.run(source[demand]!, lengths)
      const paths = [search.path(source[demand]!, target[demand]!)]
      choice.set(demand, paths)
      shift(paths, amount)
    }
    const fullest = maximum(loads)
    if (fullest < best.fullest) best = { fullest, choice: new Map(choice) }
    // Another order leads elsewhere too.
    order.push(...order.splice(0, 1 + Math.floor(order.length * random())))
  }
  return best.choice
}

function widestColumn(pool: ColumnPool, flows: ArrayLike<number>, demand: number): Paths {
  const places = pool.byDemand[demand]!
  const widest = places.reduce((best, place) => ((flows[place] ?? 0) > (flows[best] ?? 0) ? place : best), places[0]!)
  return pool.columns[widest]!.paths
}

/** Length of a link: by how much the sum of exp(sharpness × load) grows when this amount goes over it. */
function priceAmount(
  { graph }: Problem,
  loads: Float64Array,
  { sharpness, amount, lengths }: { sharpness: number; amount: number; lengths: Float64Array },
): void {
  const fullest = maximum(loads)
  const { linkCount, useStart, useResource, useShare } = graph
  for (let link = 0; link < linkCount; link++) {
    let length = 0
    for (let use = useStart[link]!; use < useStart[link + 1]!; use++) {
      const growth = Math.expm1(Math.min(500, sharpness * amount * useShare[use]!))
      length += Math.exp(sharpness * (loads[useResource[use]!]! - fullest)) * growth
    }
    lengths[link] = length
  }
}

function maximum(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, value), 0)
}

/** The same numbers in [0, 1) for every plan: equal input gives an equal plan. Nothing secret hangs on them. */
function repeatableRandom(): () => number {
  let state = 1
  return () => {
    state = (state * 48_271) % 0x7fffffff
    return state / 0x7fffffff
  }
}
