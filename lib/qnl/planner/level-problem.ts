import type { Problem } from './problem.ts'

/**
 * One step of planning: raise the common level of the `active` demands as far as it goes while the `fixed` ones keep
 * their rates (not their routes).
 */
export interface LevelProblem {
  readonly problem: Problem
  readonly active: Int32Array
  readonly fixed: Int32Array
  /** Rates in bits per second by demand; those of `fixed` count. */
  readonly rates: Float64Array
}

/** No level is above this one, because some demand's limit is reached. */
export function levelCap({ problem, active }: LevelProblem): number {
  let cap = Number.POSITIVE_INFINITY
  for (const demand of active) cap = Math.min(cap, problem.limit[demand]! / problem.share[demand]!)
  return cap
}
