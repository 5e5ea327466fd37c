import { StoreError } from '../../../errors.ts'
import type { BlockRecord, PoolNote, PoolRecord } from '../../../interface/pool-store.ts'
import { lp, u64 } from '../../../key/lp.ts'
import type { RowMac } from '../../../key/row-mac.ts'
import type { Rows, Writes } from '../apply-changes.ts'
import { decodeBlock, decodePool, encodeBlock, encodePool, newPoolRecord } from '../block-record.ts'
import type { Batch, Held, Query, RowKind } from './site-writer.ts'

/** A note's version stands before what it says. */
const NOTE_HEADER_BYTES = 4
const NO_NAME = Buffer.alloc(0)

/** The rows of one pool, without the material of its blocks, as its owner holds them while nobody else may write them. */
export class HeldPool implements Held, Rows {
  readonly #siteId: string
  readonly #poolId: string
  readonly #mac: RowMac
  readonly #blocks = new Map<bigint, BlockRecord>()
  readonly #notes = new Map<string, PoolNote>()
  #record: PoolRecord | undefined

  constructor({ siteId, poolId, mac }: { siteId: string; poolId: string; mac: RowMac }) {
    this.#siteId = siteId
    this.#poolId = poolId
    this.#mac = mac
  }

  async load(query: Query): Promise<void> {
    if (this.#record !== undefined) return
    const rows = await query(
      `select kind, name, value from qkd_row where site_id = $1 and pool_id = $2 and kind <> 'sealed'`,
      [this.#siteId, this.#poolId],
    )
    let record = newPoolRecord()
    for (const { kind, name, value } of rows as { kind: RowKind; name: Buffer; value: Buffer }[]) {
      const row = this.#opened(kind, name, value)
      if (kind === 'pool') record = decodePool(row)
      else if (kind === 'note') this.#notes.set(name.toString('utf8'), decodeNote(row))
      else this.#blocks.set(name.readBigUInt64BE(), decodeBlock(row))
    }
    this.#record = record
  }

  drop(): void {
    this.#record = undefined
    this.#blocks.clear()
    this.#notes.clear()
  }

  pool(): PoolRecord {
    if (this.#record === undefined) throw new StoreError(`Pool ${this.#poolId} is not held`)
    return this.#record
  }

  block(number: bigint): BlockRecord | undefined {
    return this.#blocks.get(number)
  }

  note(name: string): PoolNote | undefined {
    return this.#notes.get(name)
  }

  /** Ascending by number. */
  blocks(): BlockRecord[] {
    return [...this.#blocks.values()].sort((a, b) => (a.number < b.number ? -1 : 1))
  }

  notes(): ReadonlyMap<string, PoolNote> {
    return new Map(this.#notes)
  }

  /** Puts what a batch of changes leaves behind into the batch of the database, and holds it. */
  write(writes: Writes, batch: Batch): void {
    this.#record = writes.pool
    this.#put(batch, 'pool', NO_NAME, () => encodePool(writes.pool))
    for (const [number, block] of writes.blocks) {
      if (block === undefined) this.#blocks.delete(number)
      else this.#blocks.set(number, block)
      this.#put(batch, 'block', u64(number), block && (() => encodeBlock(block)))
    }
    for (const [number, sealed] of writes.sealed)
      batch.row(this.#poolId, 'sealed', u64(number), sealed && (() => Buffer.from(sealed)))
    for (const [name, note] of writes.notes) {
      if (note === undefined) this.#notes.delete(name)
      else this.#notes.set(name, note)
      this.#put(batch, 'note', Buffer.from(name, 'utf8'), note && (() => encodeNote(note)))
    }
  }

  #put(batch: Batch, kind: RowKind, name: Buffer, row: (() => Buffer) | undefined): void {
    batch.row(this.#poolId, kind, name, row && (() => this.#mac.protect(this.#place(kind, name), row())))
  }

  #opened(kind: RowKind, name: Buffer, value: Buffer): Buffer {
    const row = this.#mac.open(this.#place(kind, name), value)
    if (row !== undefined) return row
    throw new StoreError(
      `A row of pool ${this.#poolId} was altered in the database, or is of another store: put back a copy of the database, or begin with an empty one`,
    )
  }

  #place(kind: RowKind, name: Buffer): Buffer {
    return lp(this.#siteId, this.#poolId, kind, name)
  }
}

function encodeNote({ version, value }: PoolNote): Buffer {
  const header = Buffer.alloc(NOTE_HEADER_BYTES)
  header.writeUInt32BE(version)
  return Buffer.concat([header, value])
}

function decodeNote(bytes: Buffer): PoolNote {
  return { version: bytes.readUInt32BE(0), value: new Uint8Array(bytes.subarray(NOTE_HEADER_BYTES)) }
}
