import type { SecretKey } from '../key/secret-key.ts'
import type { Closable } from './lifecycle.ts'

/** What is durable about one link pool besides its key. */
export interface LinkMarks {
  /** Counts the durable writes of this pool; the other end remembers the highest it heard. */
  readonly commits: number
  /** The highest such number heard from the other end. */
  readonly heardCommits: number
  /** No block of the link at or below this number is ever taken in again. */
  readonly floor: bigint
}

/** One write to a link pool. */
export type StockChange =
  | { kind: 'put'; number: bigint; secret: SecretKey }
  /** Destroys the block's key where it lies, so that nothing can be encrypted with it after a crash. Idempotent. */
  | { kind: 'remove'; number: bigint }
  | { kind: 'hear'; commits: number }
  /** Counts on above `commits`. */
  | { kind: 'advance'; commits: number }
  | { kind: 'floor'; number: bigint }

/** A link pool as it stands on disk. */
export interface StockSnapshot {
  readonly marks: LinkMarks
  /** Numbers of the blocks whose key is there, ascending. */
  readonly numbers: readonly bigint[]
}

/**
 * Where the key of links waits until it is used, across restarts: encrypted, and destroyed in place. A block is removed
 * before the first byte of it is used, so no key here was ever used.
 */
export interface LinkStock extends Closable {
  /** The pool of one link; new ones are empty. */
  snapshot(linkId: string): Promise<StockSnapshot>

  /**
   * Makes a batch durable before it resolves. Secrets stay the caller's.
   * @throws {StoreError} the stock cannot be written: the caller uses nothing of the batch
   */
  commit(linkId: string, changes: readonly StockChange[]): Promise<LinkMarks>

  /**
   * The key of a block that is there; the caller owns it.
   * @throws {StoreError} it is not, or it is damaged
   */
  read(linkId: string, number: bigint): Promise<SecretKey>
}
