import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { ClosedError, StoreError } from '../../errors.ts'
import type { Closable } from '../../interface/lifecycle.ts'
import type {
  BlockRecord,
  Change,
  CommitResult,
  PoolNote,
  PoolRecord,
  PoolSnapshot,
  PoolStore,
} from '../../interface/pool-store.ts'
import { lp, u64 } from '../../key/lp.ts'
import { RowMac } from '../../key/row-mac.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { type Applied, applyChanges } from './apply-changes.ts'
import { decodeBlock, decodePool, encodeBlock, encodePool, newPoolRecord } from './block-record.ts'
import { claimOwnership, enterStore, releaseOwnership } from './store-owner.ts'

/** Version of the layout below; a store with another one is refused. */
const SCHEMA_VERSION = 2
const SCHEMA_KEY = Buffer.from('schema')
const [POOL, BLOCK, SEALED, NOTE] = ['pool', 'block', 'sealed', 'note'] as const
/** Tags of a store without a key for them: they find accidents. */
const OPEN_ROWS = new RowMac(SecretKey.copyOf(Buffer.from('rows of a store without a key')))
/** A note's version stands before what it says. */
const NOTE_HEADER_BYTES = 4

/**
 * The embedded durable store: LMDB with blocks as values. Each batch runs inside LMDB's write transaction, with the
 * rows read there; batches of the same event-loop turn share one commit and one sync, and are answered after it.
 */
export class LmdbPoolStore implements PoolStore {
  readonly volatile = false
  readonly #db: RootDatabase<Buffer, Buffer>
  readonly #leave: () => void
  #rows = OPEN_ROWS
  #closed = false

  private constructor(db: RootDatabase<Buffer, Buffer>, leave: () => void) {
    this.#db = db
    this.#leave = leave
  }

  /**
   * Opens the store in `directory`, or creates it there with mode 0700.
   * @throws {StoreError} another process uses it, or a newer version wrote it
   */
  static async open(directory: string): Promise<LmdbPoolStore> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const leave = await enterStore(directory)
    let db: RootDatabase<Buffer, Buffer>
    try {
      // overlappingSync would answer before the sync; the rest keeps keys and values as the bytes that we give.
      db = open({
        path: join(directory, 'pools.mdb'),
        encoding: 'binary',
        keyEncoding: 'binary',
        overlappingSync: false,
        // Batches by the turn of the event loop fail with a promise that nobody holds; LMDB's own queue batches as well.
        eventTurnBatching: false,
        noSubdir: true,
      })
    } catch (cause) {
      leave()
      throw new StoreError(`Cannot open the store in ${directory}: ${(cause as Error).message}`, { cause })
    }
    try {
      await claimOwnership(db, directory)
      await checkSchema(db, directory)
    } catch (error) {
      await db.close()
      leave()
      throw error
    }
    return new LmdbPoolStore(db, leave)
  }

  /** From now on rows are written under tags of this key, and only read with them. Before the first use of the store. */
  protect(rows: RowMac): void {
    this.#rows = rows
  }

  async poolIds(): Promise<readonly string[]> {
    const db = this.#open()
    const ids: string[] = []
    const prefix = lp(POOL)
    for (const { key } of db.getRange({ start: prefix, end: after(prefix) }))
      ids.push(key.subarray(prefix.length + 2).toString('utf8'))
    return ids
  }

  async snapshot(poolId: string): Promise<PoolSnapshot> {
    const db = this.#open()
    const prefix = lp(BLOCK, poolId)
    const blocks: BlockRecord[] = []
    for (const { key, value } of db.getRange({ start: prefix, end: after(prefix) }))
      blocks.push(decodeBlock(this.#opened(key, value)))
    const notePrefix = lp(NOTE, poolId)
    const notes = new Map<string, PoolNote>()
    for (const { key, value } of db.getRange({ start: notePrefix, end: after(notePrefix) }))
      notes.set(key.subarray(notePrefix.length + 2).toString('utf8'), decodeNote(this.#opened(key, value)))
    return { pool: this.#pool(poolId), blocks, notes }
  }

  async commit(poolId: string, changes: readonly Change[]): Promise<CommitResult> {
    const db = this.#open()
    let applied: Applied | undefined
    try {
      await db.transaction(() => {
        applied = applyChanges(
          {
            pool: () => this.#pool(poolId),
            block: number => this.#block(poolId, number),
            note: name => this.#note(poolId, name),
          },
          changes,
        )
        if (applied.ok) this.#write(poolId, applied)
      })
    } catch (cause) {
      // A failed commit brings a second rejection along.
      ;(cause as { commitError?: Promise<unknown> }).commitError?.catch(() => {})
      throw new StoreError(`The store cannot be written: ${(cause as Error).message}`, { cause })
    }
    if (applied === undefined) throw new StoreError('The store ran no transaction')
    if (!applied.ok) return applied
    const { pool, blocks, notes } = applied.writes
    return { ok: true, pool, blocks, notes }
  }

  async readSealed(poolId: string, number: bigint): Promise<Uint8Array | undefined> {
    const value = this.#open().get(lp(SEALED, poolId, u64(number)))
    return value === undefined ? undefined : Uint8Array.from(value)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // On a full disk it stays, and counts for as long as this process lives.
    await releaseOwnership(this.#db).catch(() => {})
    await this.#db.close()
    this.#leave()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #write(poolId: string, { writes }: Extract<Applied, { ok: true }>): void {
    // Inside the transaction's callback: these are queued into it, and its own promise tells when they are durable.
    const put = (key: Buffer, row: Uint8Array) => this.#db.put(key, this.#rows.protect(key, row))
    void put(lp(POOL, poolId), encodePool(writes.pool))
    for (const [number, block] of writes.blocks) {
      const key = lp(BLOCK, poolId, u64(number))
      void (block === undefined ? this.#db.remove(key) : put(key, encodeBlock(block)))
    }
    for (const [number, sealed] of writes.sealed) {
      const key = lp(SEALED, poolId, u64(number))
      void (sealed === undefined ? this.#db.remove(key) : this.#db.put(key, Buffer.from(sealed)))
    }
    for (const [name, note] of writes.notes) {
      const key = lp(NOTE, poolId, name)
      void (note === undefined ? this.#db.remove(key) : put(key, encodeNote(note)))
    }
  }

  #pool(poolId: string): PoolRecord {
    const row = this.#row(lp(POOL, poolId))
    return row === undefined ? newPoolRecord() : decodePool(row)
  }

  #block(poolId: string, number: bigint): BlockRecord | undefined {
    const row = this.#row(lp(BLOCK, poolId, u64(number)))
    return row === undefined ? undefined : decodeBlock(row)
  }

  #note(poolId: string, name: string): PoolNote | undefined {
    const row = this.#row(lp(NOTE, poolId, name))
    return row === undefined ? undefined : decodeNote(row)
  }

  #row(key: Buffer): Buffer | undefined {
    const value = this.#db.get(key)
    return value === undefined ? undefined : this.#opened(key, value)
  }

  #opened(key: Buffer, value: Buffer): Buffer {
    const row = this.#rows.open(key, value)
    if (row !== undefined) return row
    throw new StoreError(
      'A row of the store was altered, or belongs to another store: start with an empty one, and look at the disk',
    )
  }

  #open(): RootDatabase<Buffer, Buffer> {
    if (this.#closed) throw new ClosedError('The pool store is closed')
    return this.#db
  }
}

/**
 * Takes a directory for this process alone, by a database that holds nothing but who has it.
 * @throws {StoreError} another process has it, or this one already
 */
export async function claimDirectory(directory: string): Promise<Closable> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const leave = await enterStore(directory)
  const owner: RootDatabase<Buffer, Buffer> = open({
    path: join(directory, 'owner.mdb'),
    encoding: 'binary',
    keyEncoding: 'binary',
    noSubdir: true,
  })
  const close = async () => {
    await owner.close()
    leave()
  }
  try {
    await claimOwnership(owner, directory)
  } catch (error) {
    await close()
    throw error
  }
  return { close, [Symbol.asyncDispose]: close }
}

async function checkSchema(db: RootDatabase<Buffer, Buffer>, directory: string): Promise<void> {
  const found = db.get(SCHEMA_KEY)?.readUInt32BE(0)
  if (found === undefined) {
    const version = Buffer.alloc(4)
    version.writeUInt32BE(SCHEMA_VERSION)
    await db.put(SCHEMA_KEY, version)
  } else if (found !== SCHEMA_VERSION) {
    throw new StoreError(
      `The store in ${directory} has schema ${found}; this version of qkdkit reads schema ${SCHEMA_VERSION}`,
    )
  }
}

function encodeNote({ version, value }: PoolNote): Buffer {
  const header = Buffer.alloc(NOTE_HEADER_BYTES)
  header.writeUInt32BE(version)
  return Buffer.concat([header, value])
}

function decodeNote(bytes: Buffer): PoolNote {
  return { version: bytes.readUInt32BE(0), value: Uint8Array.from(bytes.subarray(NOTE_HEADER_BYTES)) }
}

/** The first key behind all that begin with `prefix`. */
function after(prefix: Buffer): Buffer {
  return Buffer.concat([prefix, Buffer.from([0xff, 0xff, 0xff])])
}
