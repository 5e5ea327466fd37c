import type { SecretKey } from '../key/secret-key.ts'
import type { TrustClass } from './kms.ts'
import type { AbortOptions, Closable } from './lifecycle.ts'

/**
 * Durable states of a block (the pool's state table in `lib/kms/pool/block-table.ts`). `drained` and `dropped` are the
 * ends: the block's key is destroyed next, and the row goes when nothing can ask for it any more.
 */
export type BlockState = 'received' | 'ready' | 'active' | 'drained' | 'dropped'

/** A lease's cells below `to` (and at or above the span before it) may be erased at `expiresAtMs`, wall clock. */
export interface ExpirySpan {
  readonly to: number
  readonly expiresAtMs: number
}

/** Everything durable about one block but its key material. */
export interface BlockRecord {
  readonly number: bigint
  /** Grows with every write of the row, so that a reader knows the newer of two. */
  readonly version: number
  /** The site that issues from it. */
  readonly ownerSiteId: string
  /** Number of the grant under which the owner holds it; 0 at birth. */
  readonly grant: number
  readonly state: BlockState
  readonly trustClass: TrustClass
  readonly relays: readonly string[]
  /** Place of the block's wrapped key in the slot file; -1 once that is destroyed. */
  readonly slot: number
  /** At the owner: the end of all leases ever asked for. */
  readonly lease: number
  /** At the retriever: the end of all leases acknowledged. */
  readonly horizon: number
  /** At the retriever: when acknowledged cells expire, ascending by `to`. */
  readonly expiry: readonly ExpirySpan[]
  /** At the retriever: bit i is set once cell i was delivered, has expired or was burned. 125 bytes. */
  readonly consumed: Uint8Array
  /** True once the last two cells have authenticated another block. */
  readonly macSpent: boolean
  /** The block whose last two cells authenticate this one; 0 for none. */
  readonly macBlock: bigint
  /** The owner's tag and the retriever's, 16 bytes each, once computed; before that empty. */
  readonly tags: Uint8Array
}

/** Everything durable about one pool but its blocks. */
export interface PoolRecord {
  /** Counts the durable commits that changed this pool; the peer remembers the highest it heard. */
  readonly commits: number
  /** No block of the network at or below this number is ever taken in again. */
  readonly floor: bigint
  /** No virtual block of each site's lane (in the order of the sorted sites) at or below this sequence is ever opened again. */
  readonly virtualFloors: readonly [bigint, bigint]
  /** Grows each time both sides drop everything and begin anew. */
  readonly poolEpoch: number
  /** Epoch of the keys that seal key_IDs. */
  readonly sealEpoch: number
  /** Place of the pair secret in the slot file; -1 before first contact. */
  readonly rootSlot: number
  /** The highest commit number heard from the peer. */
  readonly peerCommits: number
  /** True from the moment this store was found, or said, to be an older one, until the peer has told what it forgot (row 24). */
  readonly rolledBack: boolean
}

/** A small record that a pool keeps beside its blocks, by name. What it says is its writer's matter; never key in clear. */
export interface PoolNote {
  /** Grows with every write of the note; 1 at first. */
  readonly version: number
  readonly value: Uint8Array
}

/** Why a batch was refused; nothing of it was written. */
export type Refusal =
  | 'no-such-block'
  | 'block-exists'
  | 'below-floor'
  | 'wrong-state'
  | 'wrong-owner'
  | 'wrong-grant'
  | 'out-of-range'
  | 'beyond-horizon'
  | 'already-consumed'
  | 'epoch-passed'
  | 'note-changed'

/** A guarded change. A batch is written whole and durably, or refused whole. */
export type Change =
  /** Rows 2, 28 and 30: takes a block in, with its sealed material, and raises the floor of its kind to its number. */
  | { kind: 'insert'; record: BlockRecord; sealed: Uint8Array | undefined; raiseFloor: boolean }
  /** Moves a block along its life; refused unless it is in one of the states `from` under the same grant. */
  | { kind: 'move'; number: bigint; grant: number; from: readonly BlockState[]; to: BlockState; patch?: BlockPatch }
  /** Row 9: the owner puts `cells` more under lease, from exactly `from`. */
  | { kind: 'reserve'; number: bigint; grant: number; from: number; cells: number; limit: number }
  /** Rows 10 and 15: the retriever acknowledges up to `to` and sets the timers. */
  | {
      kind: 'acknowledge'
      number: bigint
      grant: number
      ownerSiteId: string
      from: number
      to: number
      renewal: boolean
      expiresAtMs: number
    }
  /** Row 16: sets consumed bits; refused if one is set, or the range lies beyond the horizon. */
  | { kind: 'consume'; number: bigint; ownerSiteId: string; offset: number; cells: number }
  /** Rows 17 and 18: sets the bits of the ranges whether set or not (expired and burned cells). */
  | { kind: 'burn'; number: bigint; ranges: readonly { from: number; to: number }[] }
  /** Rows 20 and 21: an unused block goes to `ownerSiteId` under `grant`, which must be higher than the row's. */
  | { kind: 'grant'; number: bigint; grant: number; ownerSiteId: string; state: BlockState }
  /** Material sealed anew without its spent cells, under another key; refused if the block's slot is not `fromSlot`. */
  | { kind: 'reseal'; number: bigint; fromSlot: number; slot: number; sealed: Uint8Array }
  /**
   * The last two cells of the block authenticate another one from now on; refused if they already did, or if the block is not in
   * the state `from`: `active` where this site owns it and chose it, `ready` where the peer did.
   */
  | { kind: 'spend-mac'; number: bigint; from: 'active' | 'ready' }
  /** Notes how far the peer's store has got. Not counted as a commit: two sites would wake each other for ever. */
  | { kind: 'hear'; peerCommits: number }
  /** Forgets a block whose key is destroyed. */
  | { kind: 'remove'; number: bigint }
  /** Writes a note, or forgets it (undefined); refused unless its version is still `from`, which is 0 where there is none. */
  | { kind: 'note'; name: string; from: number; value: Uint8Array | undefined }
  /**
   * Changes the pool's own record; refused if its `poolEpoch` is no longer `poolEpoch`. `commits` may be raised (row 26: beyond
   * all that was ever heard of a store that was put back), and never lowered: then `out-of-range`.
   */
  | { kind: 'pool'; poolEpoch: number; patch: Partial<PoolRecord> }

export type BlockPatch = Partial<Pick<BlockRecord, 'slot' | 'macBlock' | 'tags'>>

export type CommitResult =
  | {
      readonly ok: true
      readonly pool: PoolRecord
      /** The rows that the batch wrote, as they are now; undefined for one that was removed. */
      readonly blocks: ReadonlyMap<bigint, BlockRecord | undefined>
      /** The notes that the batch wrote; undefined for one that was forgotten. */
      readonly notes: ReadonlyMap<string, PoolNote | undefined>
    }
  | { readonly ok: false; readonly refusal: Refusal; readonly change: number }

/** A pool as it stands in the store. */
export interface PoolSnapshot {
  readonly pool: PoolRecord
  readonly blocks: readonly BlockRecord[]
  readonly notes: ReadonlyMap<string, PoolNote>
}

/**
 * Where a KMS keeps its pools. Sees key material only sealed. Every change is guarded in the store itself, so that
 * several processes may share one; a commit is answered only when it is durable.
 */
export interface PoolStore extends Closable {
  /** True where nothing survives the process: each start counts as rolled back. */
  readonly volatile: boolean

  /** Every pool that has ever been written. */
  poolIds(): Promise<readonly string[]>

  /** The pool's record, blocks (ascending by number) and notes; a new pool is created with zeros. */
  snapshot(poolId: string, options?: AbortOptions): Promise<PoolSnapshot>

  /**
   * Writes a batch, whole and durably, or refuses it whole.
   * @throws {StoreError} the store failed: nothing is known to be written, the caller delivers nothing
   */
  commit(poolId: string, changes: readonly Change[]): Promise<CommitResult>

  /** Sealed material of a block, or undefined. The caller owns the bytes. */
  readSealed(poolId: string, number: bigint): Promise<Uint8Array | undefined>
}

/** Keys that protect what is at rest, each in a place that is overwritten when the key is destroyed. */
export interface SlotStore extends Closable {
  /** Stores a secret of at most 78 bytes, durably, and gives its place. `context` must be shown again to read it. */
  put(secret: SecretKey, context: Uint8Array): Promise<number>
  /**
   * The secret in a place; the caller owns it.
   * @throws {StoreError} the place is empty or damaged, or holds something else
   */
  read(slot: number, context: Uint8Array): Promise<SecretKey>
  /**
   * Overwrites a place, durably. Idempotent. With `context` only where the place was sealed in it: a number that was written
   * down before a crash may be another secret's by now.
   */
  erase(slot: number, context?: Uint8Array): Promise<void>
  /** Overwrites every place that is not in `live`: what a crash left behind. */
  eraseAllBut(live: ReadonlySet<number>): Promise<void>
}
