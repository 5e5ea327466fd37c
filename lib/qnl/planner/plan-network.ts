import { assemblePlan } from './assemble-plan.ts'
import { ColumnPool } from './column-pool.ts'
import type { Draft } from './find-ground.ts'
import { ratesOf } from './flows.ts'
import { forgetLpSolver, type LpSolver, loadLpSolver } from './lp-solver.ts'
import type { NetworkFile } from './network.ts'
import { parseNetworkFile } from './parse-network-file.ts'
import type { Plan, PlanMethod } from './plan.ts'
import { type PlannedTier, planTier } from './plan-tier.ts'
import { buildProblem, type Problem } from './problem.ts'

/** Options of `planNetwork`. */
export interface PlanOptions {
  /** Number of the plan; the caller counts. Default 1. */
  readonly epoch?: number
  /** Default `auto`: exact by the method that is cheaper for the size; without WebAssembly `approximation`. */
  readonly method?: PlanMethod | 'auto'
  /**
   * `exact` raises every demand to its max-min fair level by linear programs, dozens of them. `fast` (default) does so for
   * the first levels and fills up the rest greedily. The common level, `lambda`, is the same.
   */
  readonly fairness?: 'fast' | 'exact'
}

/** The exact methods stop at this distance from the bound. */
const GAP = 1e-7
/** Work for exact levels after the first in a fast plan: about as much as the first takes with 600 demands. */
const FAST_EFFORT = 1e6

/**
 * The best plan for the network: the highest common multiple of weight × rate for all demands, then weighted max-min
 * fair filling. Computes on this thread, up to seconds for hundreds of sites: see `PlanWorker`.
 * @throws {ConfigError} the input cannot be planned; the message has the path of each bad field
 */
export async function planNetwork(input: NetworkFile, options: PlanOptions = {}): Promise<Plan> {
  return planWith(options.method === 'approximation' ? undefined : await loadLpSolver(), input, options)
}

/** The same with a given solver, or without one; approximates if it fails. */
export function planWith(solver: LpSolver | undefined, input: NetworkFile, options: PlanOptions = {}): Plan {
  const file = parseNetworkFile(input)
  const problem = buildProblem(file)
  const { epoch = 1, method = 'auto', fairness = 'fast' } = options
  const effort = fairness === 'exact' ? Number.POSITIVE_INFINITY : FAST_EFFORT
  const { draft, lambda, bound, method: used } = planTiers(problem, { solver, method, effort })
  const deadlines = file.demands.flatMap(demand => demand.deadlineMs ?? [])
  return {
    epoch,
    lambda,
    bound,
    gap: bound > 0 ? (bound - lambda) / bound : 0,
    method: used,
    ...(deadlines.length > 0 ? { validForMs: Math.min(...deadlines) } : {}),
    ...assemblePlan({ file, problem, pool: draft.pool, flows: draft.flows }),
  }
}

interface TiersOptions {
  readonly solver: LpSolver | undefined
  readonly method: PlanMethod | 'auto'
  readonly effort: number
}

/** Plans tier after tier, each with the rates of those before it fixed; approximates if the solver fails. */
function planTiers(problem: Problem, options: TiersOptions): PlannedTier & { readonly lambda: number } {
  try {
    return planTiersWith(problem, options)
  } catch (error) {
    if (options.solver === undefined) throw error
    // The solver may be broken for good (memory, an abort in WebAssembly): the next plan gets a new one.
    forgetLpSolver()
    return planTiersWith(problem, { ...options, solver: undefined })
  }
}

function planTiersWith(problem: Problem, { solver, method, effort }: TiersOptions) {
  let draft: Draft = { pool: new ColumnPool(problem.demandCount), flows: new Float64Array(0), locked: new Map() }
  let fixed = new Int32Array(0)
  let used: PlanMethod = solver === undefined ? 'approximation' : 'column-generation'
  let bound = problem.tiers.length === 0 ? 0 : Number.POSITIVE_INFINITY
  for (const active of problem.tiers) {
    const level = { problem, active, fixed, rates: ratesOf(draft.pool, draft.flows) }
    const tier = planTier({ level, draft, solver, method, gap: GAP, effort })
    draft = tier.draft
    used = tier.method
    bound = Math.min(bound, tier.bound)
    fixed = Int32Array.from([...fixed, ...active])
  }
  const rates = ratesOf(draft.pool, draft.flows)
  const levels = [...fixed].map(demand => rates[demand]! / problem.share[demand]!)
  const lambda = levels.length === 0 ? 0 : levels.reduce((least, level) => Math.min(least, level))
  // Rounding may put the level a last digit above its bound.
  return { draft, lambda, bound: Math.max(lambda, bound), method: used }
}
