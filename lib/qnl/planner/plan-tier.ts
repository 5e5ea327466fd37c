import type { ColumnPool } from './column-pool.ts'
import { type Draft, findGround, type GroundOptions } from './find-ground.ts'
import { fitFlows, loadsOf, ratesOf, trimFlows } from './flows.ts'
import type { Ground } from './max-min-levels.ts'
import type { PlanMethod } from './plan.ts'
import type { Pricer } from './pricer.ts'
import type { Problem } from './problem.ts'
import { fillUp } from './progressive-filling.ts'
import { chooseSinglePaths } from './single-paths.ts'

/** A tier that is planned, with those before it. */
export interface PlannedTier {
  readonly draft: Draft
  /** No plan gives every demand of the tier a higher level while those of the tiers before keep their rates. */
  readonly bound: number
  readonly method: PlanMethod
}

/** Plans one tier: the highest common level, over one path where one is asked for, then whatever is left. */
export function planTier(options: GroundOptions): PlannedTier {
  const { level, draft } = options
  const { problem, active } = level
  const singles = [...active].filter(demand => problem.single[demand] === 1)
  const relaxed = findGround(singles.length > 0 ? { ...options, effort: 0 } : options)
  let settled = relaxed
  let { pool, locked } = draft
  if (singles.length > 0) {
    const { flows, lambda } = relaxed.ground
    const chosen = chooseSinglePaths({ problem, demands: singles, pool, flows, lambda })
    locked = new Map([...locked, ...chosen])
    pool = draft.pool.restrict(locked)
    settled = findGround({ ...options, draft: { pool, locked, flows: carryFlows(draft, pool) } })
  }
  const flows = giveOutRest({ problem, pool, ground: settled.ground, pricer: settled.pricer })
  // The bound of the relaxed problem holds for single paths too.
  return { draft: { pool, flows, locked }, bound: relaxed.ground.bound, method: relaxed.method }
}

/** The draft's flows on the same columns of another pool. */
function carryFlows({ pool, flows }: Draft, other: ColumnPool): Float64Array {
  const carried = new Float64Array(other.columns.length)
  flows.forEach((flow, place) => {
    const { demand, paths } = pool.columns[place]!
    if (flow > 0) carried[other.placeOf(demand, paths)] = flow
  })
  return carried
}

interface RestOptions {
  readonly problem: Problem
  readonly pool: ColumnPool
  readonly ground: Ground
  readonly pricer: Pricer
}

/**
 * Fills the plan up. The ground routes what may still be raised in no particular way, so it is first tried without that;
 * where then somebody would get less than the ground gives, all of the ground is kept.
 */
function giveOutRest(options: RestOptions): Float64Array {
  const { problem, pool, ground } = options
  const { graph } = problem
  const base = fitFlows(graph, pool, trimFlows(pool, ground.flows, ground.rates))
  const isOpen = new Uint8Array(problem.demandCount)
  for (const demand of ground.open) isOpen[demand] = 1
  const rights = ratesOf(pool, base)
  const afresh = fillFrom(
    options,
    base.map((flow, place) => (isOpen[pool.columns[place]!.demand] === 1 ? 0 : flow)),
  )
  const given = ratesOf(pool, afresh)
  const isFair = ground.open.every(demand => given[demand]! >= (1 - 1e-9) * rights[demand]!)
  return fitFlows(graph, pool, isFair ? afresh : fillFrom(options, base))
}

function fillFrom({ problem, pool, ground, pricer }: RestOptions, base: Float64Array): number[] {
  const flows = [...base]
  const rates = ratesOf(pool, flows)
  const loads = loadsOf(problem.graph, pool, flows)
  fillUp({ problem, pool, pricer, flows, rates, loads }, ground.open)
  return flows
}
