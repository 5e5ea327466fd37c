import type { SecretKey } from '../key/secret-key.ts'
import type { AbortOptions, Closable, Unsubscribe } from './lifecycle.ts'

export type LinkState = 'up' | 'degraded' | 'down'

/** What kind of link it is; `post-quantum` has no quantum channel and is labelled so up to the key. */
export type LinkKind = 'simulated' | 'fibre' | 'free-space' | 'satellite' | 'device' | 'post-quantum'

/**
 * What keeps the key of a link secret: physics; the hardness of a problem (ML-KEM), on a link without a quantum channel; or
 * nothing, on one that is made for tests.
 */
export type LinkSecrecy = 'quantum' | 'computational' | 'none'

/** State of one link end. */
export interface LinkStatus {
  readonly linkId: string
  readonly localSiteId: string
  readonly remoteSiteId: string
  readonly kind: LinkKind
  /** What a key over the link rests on at best; with `simulated` photons, what it would with real ones. */
  readonly secrecy: LinkSecrecy
  /** True where photons, or the whole link, are simulated: its key is no secret. */
  readonly simulated: boolean
  readonly state: LinkState
  /** Why it is not up, in words; undefined while up. */
  readonly reason: string | undefined
  /** Secret key that the link yields, in bits per second. */
  readonly rateBps: number
  /** Quantum bit error rate as a fraction, where the link measures one. */
  readonly qber: number | undefined
  /** Secret key that waits to be taken at this end. */
  readonly bufferedBits: number
  /** Size of each block that `nextBlock` gives, in bytes. */
  readonly blockSizeBytes: number
}

/** Options of `Link.nextBlock`. */
export interface NextLinkBlockOptions extends AbortOptions {
  /**
   * Numbers at or below it are spent at the taker: blocks that have one are passed over (and wiped), and the link counts
   * on above it, so that a restart on both sides never repeats a number. Default 0.
   */
  after?: bigint
}

/** A numbered piece of key; both ends get the same bytes under the same number. The taker owns and wipes `secret`. */
export interface LinkBlock {
  /** Never reused on this link, ascending, gaps allowed. */
  readonly number: bigint
  readonly secret: SecretKey
}

/**
 * One end of a QKD link (the QLL's face to the QNL). The link stops generating while either end's buffer is full, so
 * taking blocks is what drives it.
 */
export interface Link extends Closable {
  readonly linkId: string
  readonly localSiteId: string
  readonly remoteSiteId: string
  status(): LinkStatus

  /**
   * The next block of key at this end, in ascending order of number. Waits for as long as the link needs; concurrent
   * callers are served in order of their calls.
   * @throws {ClosedError} the link was closed
   */
  nextBlock(options?: NextLinkBlockOptions): Promise<LinkBlock>

  /** Calls `listener` at each change of state or rate. */
  onStatus(listener: (status: LinkStatus) => void): Unsubscribe
}
