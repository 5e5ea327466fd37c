import type { KemName } from '../../key/post-quantum.ts'
import type { VirtualKind } from '../../key/virtual-block.ts'
import type { PoolLosses } from './loss-note.ts'
import type { PoolDemand } from './stock-orders.ts'

/** The secret of two sites as status and metrics see it. */
export interface PairSecretStatus {
  /** Grows by one with each refresh. */
  readonly epoch: number
  readonly ageMs: number
  /** Parameter set of the last refresh. */
  readonly kem: KemName
  /** True where both sites signed it with ML-DSA-65. */
  readonly isSigned: boolean
  /** True while keys that were sealed in the epoch before may be fetched; the next refresh waits for that to end. */
  readonly isPreviousAlive: boolean
  /** Refreshes, and new secrets to begin with, of the peer that this side refused since it started. */
  readonly refused: number
}

/** A pool as status and metrics see it. Counts in cells of 32 bytes and blocks of 1,000. */
export interface KeyPoolStatus {
  readonly remoteSiteId: string
  readonly connected: boolean
  /** Cells that this side can still issue. */
  readonly issuableCells: number
  /** Cells under an acknowledged lease, ready to go out at once. */
  readonly leasedCells: number
  /** Cells of virtual blocks that this side can still issue, by the level of their keys. */
  readonly virtualCells: Readonly<Record<VirtualKind, number>>
  /** Blocks of the network. */
  readonly blocks: Readonly<Record<'received' | 'ready' | 'active' | 'drained' | 'dropped', number>>
  readonly waitingRequests: number
  readonly mismatches: number
  /** What went because a store was put back, here or at the peer; undefined for nothing ever. */
  readonly losses: PoolLosses | undefined
  /** How long the pool takes no session because the peer was too much trouble, in milliseconds; 0 for not at all. */
  readonly suspendedMs: number
  /** What is asked of the pool, and of the network for it. */
  readonly demand: PoolDemand
  /** The secret of the two sites; undefined before first contact. */
  readonly secret: PairSecretStatus | undefined
}
