import type { CommitMarks } from '../../interface/commit-marks.ts'
import type { Logger } from '../../interface/logger.ts'
import type { PoolStore, SlotStore } from '../../interface/pool-store.ts'
import type { Qnl } from '../../interface/qnl.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import type { KemName } from '../../key/post-quantum.ts'
import type { SiteIdentity } from '../../key/site-identity.ts'
import type { TroubleLimits } from './restores.ts'
import type { ShareQuestion, ShareRelay } from './shared-key-acceptor.ts'
import type { VirtualTerms } from './virtual-opener.ts'

/** How a pool is run. */
export interface PoolLimits extends TroubleLimits {
  /** Blocks of both lanes together that the pool keeps in stock at the most. */
  readonly targetBlocks: number
  /** Blocks of both lanes together that it keeps however little is asked. Default 4, and no more than `targetBlocks`. */
  readonly minBlocks?: number
  /** How long a key may wait to be fetched after the end of its lease, in milliseconds. */
  readonly lifetimeMs: number
  /** How long a request waits for key before it is refused, in milliseconds. */
  readonly maxWaitMs: number
  /** When delivered cells are gone from the store at the latest, in milliseconds. */
  readonly shredMs: number
  /** Key that the pool asks of the QNL at the most, in bits per second. */
  readonly demandBps: number
  /** When the pair secret is refreshed, in milliseconds, ... Default 3,600,000 (an hour). */
  readonly refreshMs?: number
  /** ... and after how many keys of this side, whichever is first. Default 2^28. */
  readonly refreshKeys?: number
  /** The weakest parameter set of ML-KEM that a refresh may be made with. Default ML-KEM-768. */
  readonly kem?: KemName
}

/** What a pool is made from. Stores and QNL stay the caller's. */
export interface KeyPoolOptions {
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly store: PoolStore
  readonly slots: SlotStore
  /** Where the store's commit numbers stand a second time. Default nowhere. */
  readonly marks?: CommitMarks | undefined
  /** True where somebody knows that the store was put back. Default false. */
  readonly afterRestore?: boolean | undefined
  readonly qnl: Qnl
  readonly limits: PoolLimits
  /** What the policy holds for keys of the levels `expanded` and `post-quantum`. Default neither is allowed. */
  readonly virtual?: VirtualTerms
  readonly telemetry: Telemetry
  readonly logger: Logger
  /** Lets keys in that the peer's hosts share with hosts of this site: see `SharedKeyAcceptor`. Default none are. */
  readonly admitShare?: (question: ShareQuestion) => Promise<void>
  /** The way to hosts of other domains: see `SharedKeyAcceptor`. Default there is none. */
  readonly abroad?: ShareRelay
  /** What proves this site, and by whose authority the peer's site is known. Default TLS alone is. */
  readonly identity?: SiteIdentity | undefined
  /** Wall clock in milliseconds that does not step while the process runs. Default the system's time at the start, and on. */
  readonly now?: () => number
  /** A clock that never steps, in milliseconds. Default `performance.now`. */
  readonly monotonicMs?: () => number
}
