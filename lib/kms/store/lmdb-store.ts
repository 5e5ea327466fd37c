import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
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
import { type Lmdb, LmdbFile } from './lmdb-file.ts'
import { migrate, readSchema, SCHEMA_VERSION } from './schema.ts'
import { claimOwnership, enterStore, releaseOwnership } from './store-owner.ts'

const [POOL, BLOCK, SEALED, NOTE] = ['pool', 'block', 'sealed', 'note'] as const
/** Tags of a store without a key for them: they find accidents. */
const OPEN_ROWS = new RowMac(SecretKey.copyOf(Buffer.from('rows of a store without a key')))
/** A note's version stands before what it says. */
const NOTE_HEADER_BYTES = 4

/**
 * The embedded durable store: LMDB with blocks as values. Each batch runs inside LMDB's write transaction, with the
 * rows read there; batches that come while the disk is busy share one commit and one sync, and are answered after it.
 */
export class LmdbPoolStore implements PoolStore {
  readonly volatile = false
  readonly #file: LmdbFile
  /** Undefined where it is open to be read alone. */
  readonly #leave: (() => void) | undefined
  #schema: number
  #rows = OPEN_ROWS
  #closed = false

  private constructor(file: LmdbFile, { leave, schema }: { leave: (() => void) | undefined; schema: number }) {
    this.#file = file
    this.#leave = leave
    this.#schema = schema
  }

  /**
   * Opens the store in `directory`, or creates it there with mode 0700.
   * @throws {StoreError} another process uses it, or a newer version wrote it
   */
  static async open(directory: string): Promise<LmdbPoolStore> {
    const { file, leave } = await openOwned(directory, 'pools.mdb')
    try {
      return new LmdbPoolStore(file, { leave, schema: await readSchema(file, directory) })
    } catch (error) {
      await file.close()
      leave()
      throw error
    }
  }

  /**
   * Opens what is in `directory` to be read, beside the process that has it; nothing may be committed.
   * @throws {StoreError} there is no store of the present layout
   */
  static async openToRead(directory: string): Promise<LmdbPoolStore> {
    const path = join(directory, 'pools.mdb')
    if (!existsSync(path)) throw new StoreError(`There is no store in ${directory}`)
    const file = new LmdbFile(path, { readOnly: true })
    try {
      const schema = await readSchema(file, directory)
      if (schema !== SCHEMA_VERSION)
        throw new StoreError(
          `The store in ${directory} has schema ${schema}: start its site once, which brings it to ${SCHEMA_VERSION}`,
        )
      return new LmdbPoolStore(file, { leave: undefined, schema })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /**
   * From now on rows are written under tags of this key, and only read with them. Brings the rows of an older version to the
   * present layout. Before the first use of the store.
   */
  async protect(rows: RowMac): Promise<void> {
    if (this.#schema !== SCHEMA_VERSION) await migrate(this.#file, { from: this.#schema, rows })
    this.#schema = SCHEMA_VERSION
    this.#rows = rows
  }

  async poolIds(): Promise<readonly string[]> {
    return this.#open().read(db => {
      const ids: string[] = []
      const prefix = lp(POOL)
      for (const { key } of db.getRange({ start: prefix, end: after(prefix) }))
        ids.push(key.subarray(prefix.length + 2).toString('utf8'))
      return ids
    })
  }

  async snapshot(poolId: string): Promise<PoolSnapshot> {
    return this.#open().read(db => {
      const prefix = lp(BLOCK, poolId)
      const blocks: BlockRecord[] = []
      for (const { key, value } of db.getRange({ start: prefix, end: after(prefix) }))
        blocks.push(decodeBlock(this.#opened(key, value)))
      const notePrefix = lp(NOTE, poolId)
      const notes = new Map<string, PoolNote>()
      for (const { key, value } of db.getRange({ start: notePrefix, end: after(notePrefix) }))
        notes.set(key.subarray(notePrefix.length + 2).toString('utf8'), decodeNote(this.#opened(key, value)))
      return { pool: this.#pool(db, poolId), blocks, notes }
    })
  }

  async commit(poolId: string, changes: readonly Change[]): Promise<CommitResult> {
    let applied: Applied | undefined
    await this.#open().write(db => {
      const rows = {
        pool: () => this.#pool(db, poolId),
        block: (number: bigint) => this.#block(db, poolId, number),
        note: (name: string) => this.#note(db, poolId, name),
      }
      applied = applyChanges(rows, changes)
      return applied.ok ? this.#writing(db, poolId, applied) : () => {}
    }, sizeOf(changes))
    if (applied === undefined) throw new StoreError('The store ran no transaction')
    if (!applied.ok) return applied
    const { pool, blocks, notes } = applied.writes
    return { ok: true, pool, blocks, notes }
  }

  async readSealed(poolId: string, number: bigint): Promise<Uint8Array | undefined> {
    const value = this.#open().read(db => db.get(lp(SEALED, poolId, u64(number))))
    return value === undefined ? undefined : new Uint8Array(value)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // On a full disk it stays, and counts for as long as this process lives.
    if (this.#leave !== undefined) await releaseOwnership(this.#file).catch(() => {})
    await this.#file.close()
    this.#leave?.()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Everything is encoded before the first row is written: what fails then has written nothing. */
  #writing(db: Lmdb, poolId: string, { writes }: Extract<Applied, { ok: true }>): () => void {
    const values: [Buffer, Buffer | undefined][] = []
    const row = (key: Buffer, bytes: Uint8Array | undefined) =>
      values.push([key, bytes && this.#rows.protect(key, bytes)])
    row(lp(POOL, poolId), encodePool(writes.pool))
    for (const [number, block] of writes.blocks) row(lp(BLOCK, poolId, u64(number)), block && encodeBlock(block))
    for (const [number, sealed] of writes.sealed)
      values.push([lp(SEALED, poolId, u64(number)), sealed && Buffer.from(sealed)])
    for (const [name, note] of writes.notes) row(lp(NOTE, poolId, name), note && encodeNote(note))
    return () => {
      for (const [key, value] of values) void (value === undefined ? db.remove(key) : db.put(key, value))
    }
  }

  #pool(db: Lmdb, poolId: string): PoolRecord {
    const row = this.#row(db, lp(POOL, poolId))
    return row === undefined ? newPoolRecord() : decodePool(row)
  }

  #block(db: Lmdb, poolId: string, number: bigint): BlockRecord | undefined {
    const row = this.#row(db, lp(BLOCK, poolId, u64(number)))
    return row === undefined ? undefined : decodeBlock(row)
  }

  #note(db: Lmdb, poolId: string, name: string): PoolNote | undefined {
    const row = this.#row(db, lp(NOTE, poolId, name))
    return row === undefined ? undefined : decodeNote(row)
  }

  #row(db: Lmdb, key: Buffer): Buffer | undefined {
    const value = db.get(key)
    return value === undefined ? undefined : this.#opened(key, value)
  }

  #opened(key: Buffer, value: Buffer): Buffer {
    const row = this.#rows.open(key, value)
    if (row !== undefined) return row
    throw new StoreError(
      'A row of the store was altered, or belongs to another store: start with an empty one, and look at the disk',
    )
  }

  #open(): LmdbFile {
    if (this.#closed) throw new ClosedError('The pool store is closed')
    return this.#file
  }
}

/**
 * Takes a directory for this process alone, by a database that holds nothing but who has it.
 * @throws {StoreError} another process has it, or this one already
 */
export async function claimDirectory(directory: string): Promise<Closable> {
  const { file, leave } = await openOwned(directory, 'owner.mdb')
  const close = async () => {
    await file.close()
    leave()
  }
  return { close, [Symbol.asyncDispose]: close }
}

/** A database in a directory that this process alone has from now on, until it closes the file and leaves. */
async function openOwned(directory: string, name: string): Promise<{ file: LmdbFile; leave: () => void }> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const leave = await enterStore(directory)
  let file: LmdbFile | undefined
  try {
    file = new LmdbFile(join(directory, name))
    await claimOwnership(file, directory)
    return { file, leave }
  } catch (cause) {
    await file?.close()
    leave()
    if (cause instanceof StoreError) throw cause
    throw new StoreError(`Cannot open the store in ${directory}: ${(cause as Error).message}`, { cause })
  }
}

/** What a batch writes at most: a row a change and the pool's own. */
function sizeOf(changes: readonly Change[]): { rows: number; valueBytes: number } {
  let valueBytes = 0
  for (const change of changes) {
    if (change.kind === 'insert' || change.kind === 'reseal') valueBytes += change.sealed?.byteLength ?? 0
    if (change.kind === 'note') valueBytes += change.value?.byteLength ?? 0
  }
  return { rows: 1 + changes.length, valueBytes }
}

function encodeNote({ version, value }: PoolNote): Buffer {
  const header = Buffer.alloc(NOTE_HEADER_BYTES)
  header.writeUInt32BE(version)
  return Buffer.concat([header, value])
}

function decodeNote(bytes: Buffer): PoolNote {
  return { version: bytes.readUInt32BE(0), value: new Uint8Array(bytes.subarray(NOTE_HEADER_BYTES)) }
}

/** The first key behind all that begin with `prefix`. */
function after(prefix: Buffer): Buffer {
  return Buffer.concat([prefix, Buffer.from([0xff, 0xff, 0xff])])
}
