/** Rates in bits per second that can be planned; a lower one is none. Further apart, sums and ratios of them are rounding alone. */
export const RATES = { least: 1e-6, most: 1e15 } as const
/** Weights of demands. */
export const WEIGHTS = { least: 1e-6, most: 1e6 } as const
/** The longest deadline of a demand, in milliseconds. */
export const MOST_DEADLINE_MS = 1e12

/** How a demand may be routed: over one path, over many for rate, or as XOR shares over node-disjoint paths. */
export type RoutingMode = 'single' | 'multipath' | 'split'

/** A site of the key network. */
export interface NetworkNode {
  readonly id: string
  /** How many of this site's links can run at once behind its optical switch, 0 to 1e6. Default: all of them. */
  readonly modules?: number
}

/** A key link: one bit of link key carries one bit in either direction. */
export interface NetworkLink {
  readonly id: string
  readonly a: string
  readonly b: string
  /** Secret key rate while the link runs, in bits per second, 0 (down), or 1e-6 to 1e15. */
  readonly rateBps: number
}

/** What a pair of sites asks for. */
export interface NetworkDemand {
  readonly id: string
  readonly a: string
  readonly b: string
  /** Key wanted, in bits per second, 0 (withdrawn), or 1e-6 to 1e15; together with `weight` the pair's share of the network. */
  readonly rateBps: number
  /** Multiplies the share, 1e-6 to 1e6. Default 1. */
  readonly weight?: number
  /** Default `multipath`. */
  readonly mode?: RoutingMode
  /** In `split` mode the number of XOR shares, each on a path of its own, 2 to 8. Default 2. */
  readonly shares?: number
  /** Rate beyond which more is of no use, in bits per second, 1e-6 to 1e15. Default: none. */
  readonly limitBps?: number
  /** Demands of a higher class are planned first and lose nothing to lower ones; an integer, -100 to 100. Default 0. */
  readonly priority?: number
  /**
   * The demand ends in this many milliseconds from now, above 0. It is planned before the demands of its class that
   * have no deadline, and for `rateBps` (or `limitBps`) at most.
   */
  readonly deadlineMs?: number
}

/** Topology and demand, as `qkd network plan` reads them. */
export interface NetworkFile {
  readonly nodes: readonly NetworkNode[]
  readonly links: readonly NetworkLink[]
  readonly demands: readonly NetworkDemand[]
}
