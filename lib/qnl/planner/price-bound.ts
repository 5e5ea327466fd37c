import { priceLinks } from './graph.ts'
import { type LevelProblem, levelCap } from './level-problem.ts'
import type { Pricer, PriceVisitor } from './pricer.ts'

/** Prices below this share of their sum are raised to it, so that ties go to the path of fewer links. */
const PRICE_FLOOR = 1e-12

/**
 * Upper bounds on the level that any plan can reach. For every non-negative price on every resource, all key sold fetches
 * at most the sum of the prices, and what the demands take costs at least their shortest columns: weak duality, so each
 * bound is true whatever the prices, and the smallest is kept.
 */
export class PriceBound {
  /** The smallest bound so far. */
  bound: number
  /** The prices that gave it. */
  prices: Float64Array | undefined
  readonly #level: LevelProblem
  readonly #pricer: Pricer
  readonly #lengths: Float64Array
  readonly #weight: Float64Array

  constructor(level: LevelProblem, pricer: Pricer) {
    this.#level = level
    this.#pricer = pricer
    this.bound = levelCap(level)
    this.#lengths = new Float64Array(level.problem.graph.linkCount)
    this.#weight = new Float64Array(level.problem.demandCount)
    for (const demand of level.active) this.#weight[demand] = level.problem.share[demand]!
  }

  /** True where a plan of this level is within `gap` (a fraction) of the bound. */
  isReachedBy(level: number, gap: number): boolean {
    return Number.isFinite(this.bound) && this.bound - level <= gap * this.bound
  }

  /** Tries these prices, showing the shortest column of every demand to `visit`; returns their bound. */
  try(prices: Float64Array, visit: PriceVisitor): number {
    const { problem, fixed, rates } = this.#level
    let sum = 0
    for (const price of prices) sum += price
    const floored = prices.map(price => Math.max(price, PRICE_FLOOR * sum))
    priceLinks(problem.graph, floored, this.#lengths)
    const costs = new Float64Array(problem.demandCount)
    this.#pricer.run(this.#lengths, (demand, length, takeColumn) => {
      costs[demand] = length
      visit(demand, length, takeColumn)
    })
    let budget = 0
    for (const price of floored) budget += price
    for (const demand of fixed) budget -= rates[demand]! * costs[demand]!
    let cost = 0
    for (const demand of this.#level.active) cost += this.#weight[demand]! * costs[demand]!
    const bound = cost > 0 ? Math.max(0, budget / cost) : Number.POSITIVE_INFINITY
    if (bound < this.bound) {
      this.bound = bound
      this.prices = floored
    }
    return bound
  }
}
