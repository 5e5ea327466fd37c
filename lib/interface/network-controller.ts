import type { AbortOptions, Closable, Unsubscribe } from './lifecycle.ts'
import type { LinkSecrecy, LinkState } from './link.ts'
import type { NodePlan, NodeReport } from './network-node.ts'
import type { Demand, PoolLevel } from './qnl.ts'

/** What planned maintenance takes out of the network: one link, or a site with all its links. */
export type DrainTarget = { readonly linkId: string } | { readonly siteId: string }

/** How far a link is on its way out of the plans: pools fill first, then nothing is planned over it. */
export type DrainState = 'filling' | 'drained'

/** How far the pools that cross a link are, while they are filled before its maintenance. */
export interface FillView {
  /** Pairs that the present plan, or the one before the maintenance began, sends over the link. */
  readonly pairs: number
  /** Those among them whose pools hold what they are to hold, on both sides. */
  readonly full: number
  /** Until nothing is planned over the link, full or not, in milliseconds. */
  readonly leftMs: number
}

/** A site as the controller sees it. */
export interface SiteView {
  readonly siteId: string
  /** `joined` while its node is connected; `away` after that; `unknown` before its first report. */
  readonly state: 'joined' | 'away' | 'unknown'
  /** Epoch of the plan that its node follows. */
  readonly epoch: number
  /** Since its last report, in milliseconds; undefined before the first. */
  readonly silentMs: number | undefined
}

/** A link as the controller plans with it. */
export interface LinkView {
  readonly linkId: string
  readonly a: string
  readonly b: string
  /** The worse of what both ends say. */
  readonly state: LinkState
  readonly secrecy: LinkSecrecy
  /** The lower of what both ends say, in bits per second. */
  readonly rateBps: number
  /** What the present plan sends over it, in bits per second. */
  readonly loadBps: number
  /** Link key in store at the end that has less, in bits. */
  readonly stockBits: number
  /** Up, and left out of the plans all the same, because it went down too often of late. */
  readonly damped: boolean
  readonly drain?: DrainState
  /** While `drain` is `filling`. */
  readonly filling?: FillView
  /** Once `drain` is `drained`: whether all pools were full by then. */
  readonly filled?: boolean
}

/** A pair's demand and what the present plan gives it. */
export interface PairView {
  readonly a: string
  readonly b: string
  readonly askedBps: number
  readonly grantedBps: number
  readonly weight: number
  readonly mode: Demand['mode']
  /** The emptier side of its pool; undefined where a KMS does not say. */
  readonly pool?: PoolLevel
  /** Sites of each path, from `a` to `b`. */
  readonly paths: readonly { readonly sites: readonly string[]; readonly rateBps: number }[]
  readonly reason?: string
}

/** The whole network as its controller sees it. */
export interface NetworkStatus {
  readonly controllerId: string
  readonly epoch: number
  /** Common multiple of weight × rate that every served demand reaches; at most what was asked where `limit` ends it. */
  readonly lambda: number
  /** How far the plan may be from the best one, as a fraction. */
  readonly gap: number
  /** Time that the last plan took to compute, in milliseconds. */
  readonly planMs: number
  /** Since the present plan, in milliseconds; undefined before the first. */
  readonly planAgeMs: number | undefined
  readonly sites: readonly SiteView[]
  readonly links: readonly LinkView[]
  readonly pairs: readonly PairView[]
}

/** What a controller tells those who watch it. */
export type NetworkEvent =
  | {
      readonly type: 'plan'
      readonly epoch: number
      readonly lambda: number
      readonly gap: number
      readonly planMs: number
      readonly cause: string
    }
  | { readonly type: 'site'; readonly siteId: string; readonly state: SiteView['state'] }
  | { readonly type: 'link'; readonly linkId: string; readonly state: LinkState; readonly damped: boolean }
  | {
      readonly type: 'drain'
      readonly linkId: string
      readonly state: DrainState | 'back'
      /** With `drained`: whether all pools that cross it were full by then. */
      readonly filled?: boolean
    }
  | { readonly type: 'refused'; readonly siteId: string; readonly reason: string }

/** A node's place at the controller. Closing it leaves; what the node asked for stands for a while. */
export interface NodeSeat extends Closable {
  readonly siteId: string
  /** Tells the state of the node. The last one counts: a backend keeps it and says it again after a reconnection. */
  report(report: NodeReport): void
}

/** What plans the key flow of the network: in this process, or one elsewhere over mTLS. */
export interface NetworkController extends Closable {
  /**
   * Takes the place of a site's node; the one before it, if any, is closed. `onPlan` gets the node's part of each plan, the
   * present one at once if there is one, with ascending epochs.
   * @throws {InvalidArgumentError} the site is not one of this network
   */
  join(siteId: string, onPlan: (plan: NodePlan) => void): NodeSeat

  status(options?: AbortOptions): Promise<NetworkStatus>

  /**
   * Plans without the target: first the pools of the pairs that cross it are filled, until they are at their order-up-to
   * levels or for `fillMs` (default 30,000), then nothing is planned over it until `restore`. Gives the links concerned.
   * @throws {InvalidArgumentError} no such link or site
   */
  drain(target: DrainTarget, options?: AbortOptions & { fillMs?: number }): Promise<readonly string[]>

  /** Takes the target back into the plans. @throws {InvalidArgumentError} no such link or site */
  restore(target: DrainTarget, options?: AbortOptions): Promise<readonly string[]>

  onEvent(listener: (event: NetworkEvent) => void): Unsubscribe
}
