import { approximateLevel } from './approximation.ts'
import type { ColumnPool, Paths } from './column-pool.ts'
import { solveEdgeProgram, suitsEdgeProgram } from './edge-lp.ts'
import { type LevelProblem, levelCap } from './level-problem.ts'
import type { LpSolver } from './lp-solver.ts'
import { type Ground, raiseLevels } from './max-min-levels.ts'
import type { PlanMethod } from './plan.ts'
import { PriceBound } from './price-bound.ts'
import { Pricer } from './pricer.ts'
import { seedColumns } from './seed-columns.ts'

/** What is planned so far: columns, bits per second on each, and which demands may use one column alone. */
export interface Draft {
  readonly pool: ColumnPool
  readonly flows: Float64Array
  readonly locked: ReadonlyMap<number, Paths>
}

/** What one tier is planned from. */
export interface GroundOptions {
  /** The tier's demands are active; those of the tiers before are fixed. */
  readonly level: LevelProblem
  readonly draft: Draft
  /** Undefined: approximate. */
  readonly solver: LpSolver | undefined
  readonly method: PlanMethod | 'auto'
  /** Where the exact methods stop, as a fraction of the bound. */
  readonly gap: number
  /** Work to spend on exact levels above the first, in solver iterations × size of the program. */
  readonly effort: number
}

/** A ground, and what later steps need to build on it. */
export interface FoundGround {
  readonly ground: Ground
  readonly pricer: Pricer
  readonly method: PlanMethod
}

/** The approximation is asked for no more than this: it gets dear beyond. */
const APPROXIMATE_GAP = 0.01
/** Interior-point prices below this part of the level's price are rounding. */
const SATURATED = 1e-6

/** The first level by the method that suits: exact where there is a solver, approximate where there is none. */
export function findGround(options: GroundOptions): FoundGround {
  const { level, draft, solver, gap, effort } = options
  const { pool, locked } = draft
  const pricer = new Pricer(level.problem, Int32Array.from([...level.active, ...level.fixed]), locked)
  if (solver === undefined || options.method === 'approximation') {
    const fixedFlows = draft.flows
    const ground = approximateLevel({ level, pool, pricer, fixedFlows, gap: Math.max(gap, APPROXIMATE_GAP) })
    return { ground, pricer, method: 'approximation' }
  }
  if (wantsEdgeProgram(options)) {
    return { ground: edgeGround({ solver, level, pool, pricer }), pricer, method: 'edge-lp' }
  }
  return { ground: raiseLevels({ solver, level, pool, pricer, gap, effort }), pricer, method: 'column-generation' }
}

function wantsEdgeProgram({ level, draft, method }: GroundOptions): boolean {
  const { problem, active, fixed } = level
  const isPlain = active.every(demand => problem.pathsPerColumn[demand] === 1 && !draft.locked.has(demand))
  return fixed.length === 0 && isPlain && (method === 'edge-lp' || (method === 'auto' && suitsEdgeProgram(level)))
}

function edgeGround(options: { solver: LpSolver; level: LevelProblem; pool: ColumnPool; pricer: Pricer }): Ground {
  const { level, pool, pricer } = options
  const { problem, active } = level
  const bound = new PriceBound(level, pricer)
  const scale = seedColumns({ level, pool, bound })
  const solution = solveEdgeProgram({ ...options, scale, cap: levelCap(level) })
  const weights = new Float64Array(problem.demandCount)
  bound.try(solution.prices, (demand, length) => {
    weights[demand] = length * problem.share[demand]!
  })
  const total = active.reduce((sum, demand) => sum + weights[demand]!, 0)
  const rates = level.rates.slice()
  for (const demand of active) rates[demand] = solution.level * problem.share[demand]!
  // An interior solution prices every resource that is full in all optima, so these can be raised, all others cannot.
  const open = active.filter(
    demand => weights[demand]! <= SATURATED * total && rates[demand]! < (1 - 1e-9) * problem.limit[demand]!,
  )
  return { lambda: solution.level, bound: Math.max(solution.level, bound.bound), flows: solution.flows, rates, open }
}
