import type { LinkSecrecy, LinkState } from './link.ts'
import type { Demand } from './qnl.ts'

/** One path of a demand, from the node that reads the plan to the far site. */
export interface RoutedPath {
  /** Sites in order, both ends included. */
  readonly sites: readonly string[]
  /** Links in order, one fewer than `sites`. */
  readonly linkIds: readonly string[]
  /** Key that the node sends over this path, in bits per second. */
  readonly rateBps: number
  /** `split` only: paths of one set carry the shares of the same key and meet in no relay. */
  readonly set?: number
}

/** What a node does for one of its demands until the next plan. */
export interface RoutedDemand {
  readonly remoteSiteId: string
  readonly mode: Demand['mode']
  readonly weight: number
  /** Key granted, in bits per second; 0 where it is not served, and then `reason` says why. */
  readonly rateBps: number
  readonly paths: readonly RoutedPath[]
  readonly reason?: string
}

/** The part of a plan that concerns one node. A node keeps its last one while its controller is away. */
export interface NodePlan {
  /** Number of the plan, ascending: a node refuses one at or below its own. */
  readonly epoch: number
  /** How far the whole plan may be from the best one, as a fraction. */
  readonly gap: number
  readonly demands: readonly RoutedDemand[]
}

/** One end of a link as its node reports it to the controller. */
export interface LinkReport {
  readonly linkId: string
  readonly remoteSiteId: string
  readonly state: LinkState
  readonly secrecy: LinkSecrecy
  /** Secret key that the link yields now, in bits per second. */
  readonly rateBps: number
  /** Link key in store at this end and not yet used, in bits. */
  readonly stockBits: number
}

/** What a node tells its controller: at each change, and as a sign of life. */
export interface NodeReport {
  readonly siteId: string
  /** Epoch of the plan that the node follows; 0 before its first. */
  readonly epoch: number
  readonly links: readonly LinkReport[]
  /** What this site's KMS asks for, per far site. */
  readonly demands: readonly { readonly remoteSiteId: string; readonly demand: Demand }[]
}
