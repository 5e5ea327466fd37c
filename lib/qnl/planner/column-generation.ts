import type { ColumnPool } from './column-pool.ts'
import type { MasterSolution, PathMaster } from './path-master.ts'
import type { PriceBound } from './price-bound.ts'

/** What to solve, and when to stop. */
export interface ColumnGenerationOptions {
  readonly master: PathMaster
  readonly pool: ColumnPool
  readonly bound: PriceBound
  /** Stop when the level is within this fraction of the bound. */
  readonly gap: number
  /** Solver iterations after which to stop where it stands. Default: none. */
  readonly maxIterations?: number | undefined
}

/** A column must be cheaper than its demand's price by this fraction: below it lies the solver's rounding. */
const WORTHWHILE = 1 - 1e-9

/** Solves over the pool, prices new columns, and again, until level and bound meet or no column is missing. */
export function generateColumns(options: ColumnGenerationOptions): MasterSolution {
  const { master, pool, bound, gap, maxIterations = Number.POSITIVE_INFINITY } = options
  const start = master.iterations
  for (;;) {
    const left = maxIterations - (master.iterations - start)
    const solution = master.solve(Number.isFinite(left) ? { maxIterations: Math.max(1, Math.floor(left)) } : {})
    if (!solution.optimal) return solution
    let added = 0
    bound.try(solution.prices, (demand, length, takeColumn) => {
      if (length < WORTHWHILE * solution.demandPrices[demand]! && pool.add(demand, takeColumn())) added++
    })
    if (bound.isReachedBy(solution.level, gap)) return solution
    bound.try(softenPrices(solution), (demand, _length, takeColumn) => {
      if (pool.add(demand, takeColumn())) added++
    })
    if (added === 0 || bound.isReachedBy(solution.level, gap)) return solution
    master.grow()
  }
}

/** Share of the slack term; keeps the prices of nearly full resources from falling to nothing. */
const SLACK_FLOOR = 0.01

/**
 * The solver prices only what is full, so that its columns overrun what is nearly full, round after round. Half of these
 * prices goes by free room, as on the central path of an interior-point method: such columns fit the rounds to come.
 */
function softenPrices({ prices, slack }: MasterSolution): Float64Array {
  const room = slack.map(free => 1 / (free + SLACK_FLOOR))
  const total = (of: Float64Array) => of.reduce((sum, value) => sum + value, 0)
  const scale = total(prices) / total(room)
  return prices.map((price, resource) => 0.5 * (price + scale * room[resource]!))
}
