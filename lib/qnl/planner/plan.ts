/** How a plan's common multiple was found. */
export type PlanMethod = 'column-generation' | 'edge-lp' | 'approximation'

/** A path of a demand, from its `a` to its `b`. */
export interface PlannedPath {
  /** Sites in order, both ends included. */
  readonly nodes: readonly string[]
  /** Links in order, one fewer than `nodes`. */
  readonly links: readonly string[]
  /** Key sent over this path, in bits per second. */
  readonly rateBps: number
  /** `split` only: paths of the same set carry the shares of the same key and meet in no relay. */
  readonly set?: number
}

/** What a demand gets. */
export interface PlannedDemand {
  readonly id: string
  /** Key delivered, in bits per second: over `split` sets, the rate of each set once. */
  readonly rateBps: number
  /** Rate over weight × asked rate; at least the plan's `lambda` unless unserved. */
  readonly level: number
  readonly paths: readonly PlannedPath[]
  /** Why the rate is 0, where it is. */
  readonly reason?: string
}

/** What a link carries. */
export interface PlannedLink {
  readonly id: string
  /** Secret key rate while the link runs, in bits per second, as in the network file. */
  readonly rateBps: number
  /** Link key used, in bits per second. */
  readonly loadBps: number
  /** Where an end is switched: the share of time the link must run. */
  readonly timeShare?: number
}

/** Who sends how much over which paths until the next plan. */
export interface Plan {
  /** Number of the plan, ascending; from the caller. */
  readonly epoch: number
  /**
   * The multiple of weight × rate that every demand with a route reaches; 0 if there is none. A demand's limit ends it for
   * all: what the others get beyond is in their own levels.
   */
  readonly lambda: number
  /** No plan can reach more than this multiple (certified by link prices; for priorities, given the classes above). */
  readonly bound: number
  /** (bound − lambda) / bound, never negative: how far the plan may be from the best one. */
  readonly gap: number
  readonly method: PlanMethod
  /** Milliseconds until the first deadline passes and a new plan is due; absent without deadlines. */
  readonly validForMs?: number
  readonly demands: readonly PlannedDemand[]
  readonly links: readonly PlannedLink[]
}
