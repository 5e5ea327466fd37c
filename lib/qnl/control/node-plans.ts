import type { NodePlan, RoutedDemand, RoutedPath } from '../../interface/network-node.ts'
import type { PlannedPath } from '../planner/plan.ts'
import type { PairDemand } from './pair-table.ts'

/** A pair's part of a plan. */
export interface PlannedPair {
  readonly demand: PairDemand
  readonly rateBps: number
  /** From `a` to `b`. */
  readonly paths: readonly PlannedPath[]
  readonly reason?: string
}

/**
 * What each end of the pairs is told. Both learn what the pair is granted; the paths are told to the site that sorts first
 * alone: it sends, and its blocks fill the pool at both ends, so that no key is planned for once and sent twice.
 */
export function nodePlanOf(
  siteId: string,
  pairs: readonly PlannedPair[],
  { epoch, gap }: { epoch: number; gap: number },
): NodePlan {
  const demands = pairs.flatMap((pair): RoutedDemand[] => {
    const { a, b, mode, weight } = pair.demand
    if (siteId !== a && siteId !== b) return []
    const { rateBps, reason } = pair
    return [
      {
        remoteSiteId: siteId === a ? b : a,
        mode,
        weight,
        rateBps,
        paths: siteId === a ? pair.paths.map(routed) : [],
        ...(reason === undefined ? {} : { reason }),
      },
    ]
  })
  return { epoch, gap, demands }
}

function routed({ nodes, links, rateBps, set }: PlannedPath): RoutedPath {
  return { sites: nodes, linkIds: links, rateBps, ...(set === undefined ? {} : { set }) }
}
