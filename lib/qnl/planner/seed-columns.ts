import type { ColumnPool } from './column-pool.ts'
import { resourceLoads } from './graph.ts'
import type { LevelProblem } from './level-problem.ts'
import type { PriceBound } from './price-bound.ts'

/** Rounds of pricing before the first linear program: it then begins near the optimum. */
const ROUNDS = 8
/** By what power of e the price of the fullest resource rises in a round. */
const STEP = 3

/**
 * Fills the pool by multiplicative weights: route everything, raise the prices of what is full, route again. Returns the
 * best level that the active demands would reach over one such set of columns if they were alone.
 */
export function seedColumns(options: { level: LevelProblem; pool: ColumnPool; bound: PriceBound }): number {
  const { level, pool, bound } = options
  const { graph, share } = level.problem
  const isActive = new Uint8Array(level.problem.demandCount)
  for (const demand of level.active) isActive[demand] = 1
  const prices = new Float64Array(graph.resourceCount).fill(1)
  let best = 0
  for (let round = 0; round < ROUNDS; round++) {
    const linkLoads = new Float64Array(graph.linkCount)
    bound.try(prices, (demand, _length, takeColumn) => {
      if (isActive[demand] === 0) return
      const paths = takeColumn()
      pool.add(demand, paths)
      for (const path of paths) for (const link of path) linkLoads[link]! += share[demand]!
    })
    const loads = resourceLoads(graph, linkLoads)
    const fullest = loads.reduce((most, load) => Math.max(most, load), 0)
    best = Math.max(best, 1 / fullest)
    for (let resource = 0; resource < prices.length; resource++) {
      prices[resource]! *= Math.exp((STEP * loads[resource]!) / fullest)
    }
  }
  return best
}
