import type { NodePlan, RoutedDemand } from '../../interface/network-node.ts'
import type { Demand } from '../../interface/qnl.ts'
import { PathSet, pathSetsOf } from './path-set.ts'
import type { RelayPartner } from './relay-options.ts'
import type { SiteDomains } from './relay-sets.ts'

/** What a site gets for one far site now. */
export interface Grant {
  readonly rateBps: number
  readonly routes: readonly PathSet[]
  readonly weight: number
  /** Shares alone may be sent and taken. */
  readonly splitOnly: boolean
  /** Why it gets nothing. */
  readonly reason: string | undefined
}

/** What a grant follows from. */
export interface GrantGround {
  readonly siteId: string
  readonly remoteSiteId: string
  readonly plan: NodePlan | undefined
  readonly demand: Demand | undefined
  /** True while the connection to the other end is lost. */
  readonly lost: boolean
  readonly minShares: number
  readonly domainOf: SiteDomains
  /** What this site says of the pair itself. */
  readonly partner: Pick<RelayPartner, 'mode' | 'announce'>
  /** Rate of the link to a neighbour that is up, in bits per second; 0 for one that is down, undefined where there is none. */
  readonly linkBps: (siteId: string) => number | undefined
}

/**
 * What this site's demand is granted: by its plan, less the paths whose first link is down; before the first plan, a
 * neighbour over the common link. A plan cannot turn a demand for shares into one without.
 */
export function grantFor(ground: GrantGround): Grant {
  const { remoteSiteId, plan, demand, partner, linkBps, lost } = ground
  const splitOnly = demand?.mode === 'split' || partner.mode === 'split'
  const nothing = (reason: string): Grant => ({
    rateBps: 0,
    routes: [],
    weight: demand?.weight ?? 1,
    splitOnly,
    reason,
  })
  if (lost) return nothing('The connection to its node is lost')
  if (plan === undefined) return unplanned(ground, { splitOnly, nothing })
  const routed = plan.demands.find(each => each.remoteSiteId === remoteSiteId)
  if (routed === undefined) return nothing('The plan has no path to it')
  if (splitOnly && routed.mode !== 'split') return nothing('The plan has no shares for it')
  const sets = pathSetsOf(routed, { ...ground, announces: partner.announce === true })
  if (typeof sets === 'string') return nothing(sets)
  const alive = sets.filter(({ paths }) => paths.every(path => (linkBps(path[1]!) ?? 0) > 0))
  if (alive.length === 0 && sets.length > 0) return nothing('Every path to it begins with a link that is down')
  const rateBps = Math.min(demand?.rateBps ?? 0, grantedBps(routed, sets, alive))
  const reason = rateBps > 0 ? undefined : (routed.reason ?? 'The plan gives it nothing')
  return { rateBps, routes: alive, weight: routed.weight, splitOnly, reason }
}

function unplanned(
  { siteId, remoteSiteId, demand, linkBps }: GrantGround,
  { splitOnly, nothing }: { splitOnly: boolean; nothing: (reason: string) => Grant },
): Grant {
  const rateBps = linkBps(remoteSiteId)
  if (rateBps === undefined) return nothing('There is no plan yet')
  if (splitOnly) return nothing('There is no plan yet, and shares need one')
  if (rateBps === 0) return nothing('The link is down')
  // One of two begins, as with a plan, so that the link is not asked for twice its key.
  const routes =
    siteId < remoteSiteId
      ? [new PathSet({ paths: [[siteId, remoteSiteId]], split: false, rateBps: Number.MAX_SAFE_INTEGER })]
      : []
  return { rateBps: Math.min(demand?.rateBps ?? 0, rateBps), routes, weight: 1, splitOnly: false, reason: undefined }
}

/** The end that does not send knows no paths: it goes by the plan's word. */
function grantedBps({ rateBps }: RoutedDemand, sets: readonly PathSet[], alive: readonly PathSet[]): number {
  const total = sets.reduce((sum, set) => sum + set.rateBps, 0)
  return total === 0 ? rateBps : (rateBps * alive.reduce((sum, set) => sum + set.rateBps, 0)) / total
}
