import type { SecretKey } from '../key/secret-key.ts'
import type { TrustClass } from './kms.ts'
import type { AbortOptions, Closable, Unsubscribe } from './lifecycle.ts'
import type { LinkSecrecy, LinkStatus } from './link.ts'

/** The two sites that share a pool. */
export interface SitePair {
  readonly localSiteId: string
  readonly remoteSiteId: string
}

/** What one side of a pool can give out, and what that is to come to. */
export interface PoolLevel {
  readonly stockBits: number
  /** The order-up-to level: more is not asked for. */
  readonly targetBits: number
}

/** What a KMS asks of the network for one pair. */
export interface Demand {
  /** Key wanted, in bits per second; 0 withdraws the demand. */
  readonly rateBps: number
  /** The policy's priority as a weight in the plan, above 0. */
  readonly weight: number
  /** Steady generation, or a surge to be served between two plans. */
  readonly kind: 'continuous' | 'on-demand'
  /** For `on-demand`: when it is of no more use, in milliseconds from now. */
  readonly deadlineMs?: number
  /** One path, several for rate, or XOR shares over node-disjoint paths so that no single relay learns the key. */
  readonly mode: 'single' | 'multipath' | 'split'
  /** In `split` mode the number of shares, 2 to 8. Default 2. */
  readonly shares?: number
  /** The pool as it was when this was asked: maintenance waits until it is full. Default unknown. */
  readonly pool?: PoolLevel
}

/** What the network promises for a demand. */
export interface DemandGrant {
  /** At most the rate asked for, in bits per second; may be 0. */
  readonly rateBps: number
  /** Number of the plan that the grant stands in. */
  readonly epoch: number
}

/** A link as one end of it says it was while a block came over it. */
export interface LinkMark {
  readonly linkId: string
  /** Both sites, sorted. */
  readonly siteIds: readonly [string, string]
  readonly secrecy: LinkSecrecy
  /** True where its photons, or the whole of it, are simulated. */
  readonly simulated: boolean
  /** Quantum bit error rate as a fraction, where the link measures one. */
  readonly qber?: number
}

/** How a block came, as the end that has it knows: what an incident is held against, and what provenance tells. */
export interface BlockWay {
  /**
   * For each share all paths that it was ever sent over, as sites in order with both ends; one share where the block came
   * whole. Bounded: at most 16 shares of 32 paths of 32 sites.
   */
  readonly shares: readonly (readonly (readonly string[])[])[]
  /** What is known of the links of these paths; another site's links by that site's word. */
  readonly links: readonly LinkMark[]
  /** When it set out, wall clock, in milliseconds; of a block of a link itself, when it was taken from the link. */
  readonly sinceMs: number
  /** When it was whole at this end. */
  readonly untilMs: number
}

/** Unit in which the QNL fills a pool: 1,000 cells of 32 bytes, equal at both sites under the same number. */
export interface QnlBlock {
  readonly remoteSiteId: string
  /** 64-bit, never reused for this pair, ascending at each site, gaps allowed. */
  readonly number: bigint
  /** 32,000 bytes; the taker owns and wipes it. */
  readonly secret: SecretKey
  readonly trustClass: TrustClass
  /** Every site that has known the block on its way, sorted; empty for `direct`. */
  readonly relays: readonly string[]
  /** The same in full; undefined where the network does not say. */
  readonly way?: BlockWay
}

/**
 * What the network tells the KMS between blocks; `restored` also where a pair gets enough because it asks for less, 0 where it
 * asks for nothing any more. `exhaustionMs` is the KMS's own stock over its own rate, if known.
 */
export type QnlEvent =
  | { type: 'link-down'; linkId: string; remoteSiteId: string; reason: string }
  | { type: 'rate-drop'; remoteSiteId: string; rateBps: number; wasBps: number }
  | { type: 'pair-unserved'; remoteSiteId: string; reason: string; exhaustionMs?: number }
  | { type: 'restored'; remoteSiteId: string; rateBps: number }

/** Options of `Qnl.nextBlock`. */
export interface NextBlockOptions extends AbortOptions {
  /** Numbers at or below it are of no use to the taker: the network counts on above it. Default 0. */
  after?: bigint
}

/** The state of the network layer as one site sees it. */
export interface QnlStatus {
  readonly siteId: string
  readonly epoch: number
  readonly links: readonly LinkStatus[]
  /** Per pair: what was asked and what is granted now. */
  readonly demands: readonly { remoteSiteId: string; askedBps: number; grantedBps: number }[]
}

/** The network layer as the KMS of one site sees it. Embedded, or a QNL node elsewhere over mTLS. */
export interface Qnl extends Closable {
  readonly siteId: string

  /** The sites this one can share key with, direct or relayed, sorted. */
  remoteSiteIds(options?: AbortOptions): Promise<readonly string[]>

  /**
   * Sets the demand of the pair (this site, `remoteSiteId`), replacing the last one, and tells what is granted.
   * @throws {NoRouteError} no path of links joins the two sites
   */
  setDemand(remoteSiteId: string, demand: Demand, options?: AbortOptions): Promise<DemandGrant>

  /**
   * The next block for the pair, in ascending order of number; waits for as long as the network needs. A block is
   * handed out once: what its taker loses is lost.
   * @throws {NoRouteError} no path of links joins the two sites
   * @throws {ClosedError} the QNL was closed
   */
  nextBlock(remoteSiteId: string, options?: NextBlockOptions): Promise<QnlBlock>

  status(options?: AbortOptions): Promise<QnlStatus>

  /** Calls `listener` for each event from now on, in order. */
  onEvent(listener: (event: QnlEvent) => void): Unsubscribe
}
