import { generateColumns } from './column-generation.ts'
import type { ColumnPool } from './column-pool.ts'
import { type LevelProblem, levelCap } from './level-problem.ts'
import type { LpSolver } from './lp-solver.ts'
import { type MasterSolution, PathMaster } from './path-master.ts'
import { PriceBound } from './price-bound.ts'
import type { Pricer } from './pricer.ts'
import { seedColumns } from './seed-columns.ts'

/** A feasible plan of one tier and what is known of it. */
export interface Ground {
  /** The first level: what every active demand has at least. */
  readonly lambda: number
  /** No plan gives every active demand more. */
  readonly bound: number
  /** Bits per second on each column of the pool. */
  readonly flows: Float64Array
  /** What each demand has by right, in bits per second; flows may give more by chance. */
  readonly rates: Float64Array
  /** Active demands that may be raised further. */
  readonly open: Int32Array
}

/** What to raise, over which columns, with how much work. */
export interface LevelOptions {
  readonly solver: LpSolver
  readonly level: LevelProblem
  readonly pool: ColumnPool
  readonly pricer: Pricer
  readonly gap: number
  /** Work to spend on levels above the first, in solver iterations × size of the program. */
  readonly effort: number
}

/** A demand whose share in the price of the level is below this can still be raised: the rest is rounding. */
const SATURATED = 1e-7

/**
 * Lexicographic max-min by linear programs: raise the level of all, let the demands that set it stay behind, raise the
 * rest, for as long as `effort` allows. All flow stays free to take other routes.
 */
export function raiseLevels({ solver, level, pool, pricer, gap, effort }: LevelOptions): Ground {
  const bound = new PriceBound(level, pricer)
  const scale = seedColumns({ level, pool, bound })
  const climb = new Climb({ solver, level, pool, pricer, gap, scale })
  try {
    climb.solve(bound)
    const first = { lambda: climb.height, bound: Math.max(climb.height, bound.bound) }
    for (let left = effort / climb.size; left >= 1 && climb.leaveSaturated(); left -= climb.iterations) {
      try {
        if (!climb.goOn(left)) break
      } catch {
        // Far up, the demands left behind leave the solver no room for its rounding. What it has reached so far stands.
        break
      }
    }
    return { ...first, flows: climb.flows, rates: climb.now.rates, open: climb.now.active }
  } finally {
    climb.dispose()
  }
}

/** The program is written anew when the level has outgrown its numbers by this factor. */
const OUTGROWN = 100

interface ClimbOptions {
  readonly solver: LpSolver
  readonly level: LevelProblem
  readonly pool: ColumnPool
  readonly pricer: Pricer
  readonly gap: number
  /** Some level near the first. */
  readonly scale: number
}

/** The way up from level to level. */
class Climb {
  /** Who still rises, and the rates that everybody has. */
  now: LevelProblem
  /** Bits per second on the columns of the pool that give these rates. */
  flows: Float64Array = new Float64Array(0)
  /** Iterations of the last step. */
  iterations = 0
  readonly #options: ClimbOptions
  #scale: number
  #master: PathMaster
  #solution: MasterSolution | undefined

  constructor(options: ClimbOptions) {
    this.now = options.level
    this.#options = options
    this.#scale = options.scale
    this.#master = this.#write()
  }

  get size(): number {
    return this.#master.size
  }

  /** The level reached. */
  get height(): number {
    return this.#solution?.level ?? 0
  }

  /** Raises everybody who is active as far as it goes. */
  solve(bound: PriceBound, maxIterations?: number): void {
    const { pool, gap } = this.#options
    const before = this.#master.iterations
    this.#solution = generateColumns({ master: this.#master, pool, bound, gap, maxIterations })
    this.iterations = this.#master.iterations - before
    const rates = this.now.rates.slice()
    for (const demand of this.now.active) rates[demand] = this.height * this.now.problem.share[demand]!
    this.now = { ...this.now, rates }
    this.flows = this.#master.flows()
  }

  /** Fixes those who can rise no further; false if there is nobody else, or it cannot be told who they are. */
  leaveSaturated(): boolean {
    if (this.#solution?.optimal !== true) return false
    const stopped = findSaturated(this.now, this.#solution)
    const active = this.now.active.filter(demand => !stopped.has(demand))
    this.now = { ...this.now, active, fixed: Int32Array.from([...this.now.fixed, ...stopped]) }
    return active.length > 0 && stopped.size > 0
  }

  /** Raises the rest; false if that needs more than `maxIterations`. */
  goOn(maxIterations: number): boolean {
    if (this.height > OUTGROWN * this.#scale) {
      // A program that is written anew has all its way before it, and half a way is no plan.
      if (Number.isFinite(maxIterations)) return false
      this.#scale = this.height
      this.#master.dispose()
      this.#master = this.#write()
    } else this.#master.raise(this.now.active, { above: this.height, cap: levelCap(this.now) })
    this.solve(new PriceBound(this.now, this.#options.pricer), maxIterations)
    return true
  }

  dispose(): void {
    this.#master.dispose()
  }

  #write(): PathMaster {
    const { solver, pool } = this.#options
    return new PathMaster({ solver, level: this.now, pool, scale: this.#scale, cap: levelCap(this.now) })
  }
}

/** Active demands that set the level or are at their limit: in no plan of this level can they have more. */
function findSaturated({ problem, active }: LevelProblem, { level, demandPrices }: MasterSolution): Set<number> {
  const weightOf = (demand: number) => demandPrices[demand]! * problem.share[demand]!
  let total = 0
  for (const demand of active) total += weightOf(demand)
  const isAtLimit = (demand: number) => level * problem.share[demand]! >= (1 - 1e-9) * problem.limit[demand]!
  return new Set(active.filter(demand => weightOf(demand) > SATURATED * total || isAtLimit(demand)))
}
