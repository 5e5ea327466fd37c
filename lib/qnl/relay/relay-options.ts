import type { Link } from '../../interface/link.ts'
import type { LinkStock } from '../../interface/link-stock.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { Demand } from '../../interface/qnl.ts'
import type { Telemetry } from '../../interface/telemetry.ts'
import { requireInteger } from '../../util/deadline.ts'

/** Another node that this one talks to: the far end of a link, or of a pair that is served over relays. */
export interface RelayPartner {
  readonly siteId: string
  /** Identity that the channel authenticates it by: the KME ID of its site. */
  readonly peerId: string
  /**
   * Who runs the site. Shares of one key never cross two relays of one domain. Default the site itself.
   */
  readonly domain?: string
  /**
   * How key shared with it travels, whatever this site's KMS asks: `split` takes and sends nothing but shares. Default what
   * the KMS asks.
   */
  readonly mode?: Demand['mode']
  /**
   * Relays between the two announce how the keys of their links differ, instead of passing chunks on: for latency, not with
   * `split`, and only where both ends say so. Default false.
   */
  readonly announce?: boolean
  /** Opens a channel to it, where this end dials; left out where the partner dials in. */
  readonly dial?: (signal: AbortSignal) => Promise<MessageChannel>
}

/** What this site demands of a split, whatever its plan says. */
export interface SplitBounds {
  /** Fewest shares of a key, 2 to 8. Default 2. */
  readonly minShares?: number
}

/** Sizes of a node. */
export interface RelayLimits {
  /** Key blocks that each link pool keeps at most; from 4. Default 256 (8 MB). */
  readonly stockBlocks: number
  /** Bytes of other sites' chunks that wait at this node at most; more are dropped and counted. Default 16 MiB. */
  readonly transitBytes: number
  /** Bytes of one chunk; from 256 to 32,768. Default 32,768: a block with its tags in one. */
  readonly chunkBytes: number
  /** Blocks that wait for the KMS for each pair before no more are made. Default 16. */
  readonly readyBlocks: number
  /** When a block on its way is given up, in milliseconds. Default 30,000. */
  readonly blockLifeMs: number
  /**
   * How long chunks that have left stay unconfirmed at least before the far end is asked which of them it lacks, in
   * milliseconds. Longer where the far end is known to take longer. Default 2,000.
   */
  readonly resendMs: number
  /** After so long key that waits in memory is written to the stock, in milliseconds. Default 2,000. */
  readonly settleMs: number
}

/** What a `RelayNode` is made from. */
export interface RelayNodeOptions {
  readonly siteId: string
  /** The ends of this site's links, with blocks of 32,000 bytes. They stay the caller's, who closes them after the node. */
  readonly links: readonly Link[]
  readonly partners: readonly RelayPartner[]
  /** Where link key waits across restarts; stays the caller's. Default nowhere: a restart loses what was not used. */
  readonly stock?: LinkStock
  readonly split?: SplitBounds
  readonly limits?: Partial<RelayLimits>
  /** Where demands, grants, links and drops are reported. Default nowhere. */
  readonly telemetry?: Telemetry
  readonly logger?: Logger
}

export const DEFAULT_RELAY_LIMITS: RelayLimits = {
  stockBlocks: 256,
  transitBytes: 16 * 1024 * 1024,
  chunkBytes: 32_768,
  readyBlocks: 16,
  blockLifeMs: 30_000,
  resendMs: 2000,
  settleMs: 2000,
}

const RANGES: Readonly<Record<keyof RelayLimits, { min: number; max: number }>> = {
  stockBlocks: { min: 4, max: 4096 },
  transitBytes: { min: 65_536, max: 2 ** 30 },
  chunkBytes: { min: 256, max: 32_768 },
  readyBlocks: { min: 1, max: 256 },
  blockLifeMs: { min: 1000, max: 600_000 },
  resendMs: { min: 50, max: 60_000 },
  settleMs: { min: 50, max: 60_000 },
}

/**
 * The limits with their defaults.
 * @throws {InvalidArgumentError} one is out of its range
 */
export function checkRelayOptions({ limits = {}, split = {} }: RelayNodeOptions): {
  limits: RelayLimits
  minShares: number
} {
  const all = { ...DEFAULT_RELAY_LIMITS, ...limits }
  for (const [name, range] of Object.entries(RANGES)) requireInteger(name, all[name as keyof RelayLimits], range)
  return { limits: all, minShares: requireInteger('minShares', split.minShares ?? 2, { min: 2, max: 8 }) }
}
