import type { ColumnPool } from './column-pool.ts'
import { forEachUse, priceLinks } from './graph.ts'
import type { Pricer } from './pricer.ts'
import type { Problem } from './problem.ts'

/** A plan that is being filled up. */
export interface Filling {
  readonly problem: Problem
  readonly pool: ColumnPool
  /** For columns beyond those of the pool. */
  readonly pricer: Pricer
  /** Bits per second on each column of the pool; grows with it. */
  readonly flows: number[]
  /** Bits per second of each demand. */
  readonly rates: Float64Array
  /** Share of each resource that is taken. */
  readonly loads: Float64Array
}

/** A resource with less room than this is full. */
const FULL = 1e-9
/** Part of the way to the next full resource that one step goes before paths are chosen again. */
const STEP = 0.3
/** Steps are no smaller than this part of the level, or the way would never end. */
const LEAST_STEP = 0.01
/** Rounds of looking for columns beyond the pool; each fills at least one resource for somebody. */
const MAX_ROUNDS = 100

/**
 * Gives what is left: raises all `open` demands together, each over the column with most room, until none of them has a
 * path with room or all have reached their limits. Nothing given before is taken away.
 */
export function fillUp(filling: Filling, open: Int32Array): void {
  let rising = [...open]
  for (let round = 0; round < MAX_ROUNDS && rising.length > 0; round++) {
    raiseOverPool(filling, rising)
    rising = findRoom(filling, rising)
  }
}

/** Demands below their limit that still have a column with room; adds that column to the pool. */
function findRoom({ problem, pool, pricer, rates, loads }: Filling, demands: readonly number[]): number[] {
  const hungry = new Set(demands.filter(demand => roomBelowLimit(problem, rates, demand) > 0))
  if (hungry.size === 0) return []
  const lengths = new Float64Array(problem.graph.linkCount)
  priceLinks(problem.graph, roomPrices(loads), lengths)
  const found: number[] = []
  pricer.run(lengths, (demand, length, takeColumn) => {
    if (!hungry.has(demand) || length === Number.POSITIVE_INFINITY) return
    pool.add(demand, takeColumn())
    found.push(demand)
  })
  return found
}

/** The fuller a resource, the dearer; a full one is beyond price. */
function roomPrices(loads: Float64Array): Float64Array {
  return loads.map(load => (1 - load <= FULL ? Number.POSITIVE_INFINITY : 1 / (1 - load)))
}

/** What a demand may still gain before its limit, in bits per second; 0 within rounding of it. */
function roomBelowLimit({ limit }: Problem, rates: Float64Array, demand: number): number {
  const room = limit[demand]! - rates[demand]!
  return room > 1e-9 * rates[demand]! ? room : 0
}

/** A column that a demand may rise over, with what one bit per second takes of each resource. */
interface Route {
  readonly place: number
  readonly resources: Int32Array
  readonly shares: Float64Array
}

interface Riser {
  readonly demand: number
  readonly routes: readonly Route[]
}

/** Raises the demands step by step, each step over the columns that have most room, until their columns are full. */
function raiseOverPool(filling: Filling, demands: readonly number[]): void {
  const { problem, flows, rates, loads } = filling
  const { share } = problem
  let risers: readonly Riser[] = demands.map(demand => ({ demand, routes: routesOf(filling, demand) }))
  for (;;) {
    const prices = roomPrices(loads)
    const chosen: Route[] = []
    risers = risers.filter(({ demand, routes }) => {
      const route = roomBelowLimit(problem, rates, demand) > 0 ? cheapest(routes, prices) : undefined
      if (route !== undefined) chosen.push(route)
      return route !== undefined
    })
    if (risers.length === 0) return
    const pull = new Float64Array(loads.length)
    chosen.forEach(({ resources, shares }, index) => {
      const weight = share[risers[index]!.demand]!
      for (let use = 0; use < resources.length; use++) pull[resources[use]!]! += weight * shares[use]!
    })
    const step = findStep(filling, risers, pull)
    for (let resource = 0; resource < loads.length; resource++) loads[resource]! += step * pull[resource]!
    chosen.forEach(({ place }, index) => {
      const { demand } = risers[index]!
      flows[place] = (flows[place] ?? 0) + step * share[demand]!
      rates[demand]! += step * share[demand]!
    })
  }
}

function routesOf({ problem, pool }: Filling, demand: number): Route[] {
  return pool.byDemand[demand]!.map(place => {
    const resources: number[] = []
    const shares: number[] = []
    forEachUse(problem.graph, pool.columns[place]!.paths, (resource, share) => {
      resources.push(resource)
      shares.push(share)
    })
    return { place, resources: Int32Array.from(resources), shares: Float64Array.from(shares) }
  })
}

function cheapest(routes: readonly Route[], prices: Float64Array): Route | undefined {
  let best: Route | undefined
  let least = Number.POSITIVE_INFINITY
  for (const route of routes) {
    const { resources, shares } = route
    let price = 0
    for (let use = 0; use < resources.length; use++) price += shares[use]! * prices[resources[use]!]!
    if (price >= least) continue
    least = price
    best = route
  }
  return best
}

/** By how much the level rises in one step under this pull on the resources. */
function findStep({ problem, rates, loads }: Filling, risers: readonly Riser[], pull: Float64Array): number {
  let level = Number.POSITIVE_INFINITY
  let limit = Number.POSITIVE_INFINITY
  for (const { demand } of risers) {
    const share = problem.share[demand]!
    level = Math.min(level, rates[demand]! / share)
    limit = Math.min(limit, roomBelowLimit(problem, rates, demand) / share)
  }
  let full = Number.POSITIVE_INFINITY
  for (let resource = 0; resource < loads.length; resource++) {
    if (pull[resource]! > 0) full = Math.min(full, (1 - loads[resource]!) / pull[resource]!)
  }
  return Math.min(limit, Math.max(STEP * full, Math.min(full, LEAST_STEP * level)))
}
