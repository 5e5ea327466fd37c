import { StoreError } from '../../errors.ts'
import type { TrustClass } from '../../interface/kms.ts'
import type { BlockRecord, BlockState, ExpirySpan, PoolRecord } from '../../interface/pool-store.ts'
import { BLOCK_CELLS } from '../../key/cells.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'

/** The stored form of a block's and a pool's record, with a version byte in front. */

const FORMAT = 1
/** The second one has the floors of virtual blocks. */
const POOL_FORMAT = 2
export const BITMAP_BYTES = Math.ceil(BLOCK_CELLS / 8)
const STATES: readonly BlockState[] = ['received', 'ready', 'active', 'drained', 'dropped']
const CLASSES: readonly TrustClass[] = ['direct', 'split', 'relayed', 'post-quantum']
const NO_SLOT = 0xffffffff

/** A block as it is born: nothing leased, acknowledged or consumed. */
export function newBlockRecord(
  fields: Pick<BlockRecord, 'number' | 'ownerSiteId' | 'trustClass' | 'relays' | 'slot'> & Partial<BlockRecord>,
): BlockRecord {
  return {
    version: 1,
    grant: 0,
    state: 'received',
    lease: 0,
    horizon: 0,
    expiry: [],
    consumed: new Uint8Array(BITMAP_BYTES),
    macSpent: false,
    macBlock: 0n,
    tags: new Uint8Array(0),
    ...fields,
  }
}

/** A pool as it is born. */
export function newPoolRecord(): PoolRecord {
  return {
    commits: 0,
    floor: 0n,
    virtualFloors: [0n, 0n],
    poolEpoch: 0,
    sealEpoch: 0,
    rootSlot: -1,
    peerCommits: 0,
    rolledBack: false,
  }
}

/** A block's record as it is stored. */
export function encodeBlock(record: BlockRecord): Buffer {
  const writer = new ByteWriter()
    .u8(FORMAT)
    .u64(record.number)
    .u32(record.version)
    .field(record.ownerSiteId)
    .u32(record.grant)
    .u8(STATES.indexOf(record.state))
    .u8(CLASSES.indexOf(record.trustClass))
    .u32(record.slot < 0 ? NO_SLOT : record.slot)
    .u16(record.lease)
    .u16(record.horizon)
    .u8(record.macSpent ? 1 : 0)
    .u64(record.macBlock)
    .field(record.tags)
    .raw(record.consumed)
    .u16(record.relays.length)
  for (const relay of record.relays) writer.field(relay)
  writer.u16(record.expiry.length)
  for (const span of record.expiry) writer.u16(span.to).u64(BigInt(Math.round(span.expiresAtMs)))
  return writer.bytes()
}

/** @throws {StoreError} the record is of another format, or damaged */
export function decodeBlock(bytes: Uint8Array): BlockRecord {
  return decode(bytes, FORMAT, reader => {
    const number = reader.u64()
    const version = reader.u32()
    const ownerSiteId = reader.text()
    const grant = reader.u32()
    const state = pick(STATES, reader.u8())
    const trustClass = pick(CLASSES, reader.u8())
    const slot = reader.u32()
    const lease = reader.u16()
    const horizon = reader.u16()
    const macSpent = reader.u8() === 1
    const macBlock = reader.u64()
    const tags = new Uint8Array(reader.field())
    const consumed = new Uint8Array(reader.raw(BITMAP_BYTES))
    const relays = Array.from({ length: reader.u16() }, () => reader.text())
    const expiry: ExpirySpan[] = Array.from({ length: reader.u16() }, () => ({
      to: reader.u16(),
      expiresAtMs: Number(reader.u64()),
    }))
    return {
      number,
      version,
      ownerSiteId,
      grant,
      state,
      trustClass,
      relays,
      slot: slot === NO_SLOT ? -1 : slot,
      lease,
      horizon,
      expiry,
      consumed,
      macSpent,
      macBlock,
      tags,
    }
  })
}

/** A pool's record as it is stored. */
export function encodePool(record: PoolRecord): Buffer {
  return new ByteWriter()
    .u8(POOL_FORMAT)
    .u64(BigInt(record.commits))
    .u64(record.floor)
    .u32(record.poolEpoch)
    .u32(record.sealEpoch)
    .u32(record.rootSlot < 0 ? NO_SLOT : record.rootSlot)
    .u64(BigInt(record.peerCommits))
    .u8(record.rolledBack ? 1 : 0)
    .u64(record.virtualFloors[0])
    .u64(record.virtualFloors[1])
    .bytes()
}

/** @throws {StoreError} the record is of another format, or damaged */
export function decodePool(bytes: Uint8Array): PoolRecord {
  return decode(bytes, POOL_FORMAT, (reader, format) => {
    const commits = Number(reader.u64())
    const floor = reader.u64()
    const poolEpoch = reader.u32()
    const sealEpoch = reader.u32()
    const rootSlot = reader.u32()
    const peerCommits = Number(reader.u64())
    const rolledBack = reader.u8() === 1
    const virtualFloors: [bigint, bigint] = format === 1 ? [0n, 0n] : [reader.u64(), reader.u64()]
    return {
      commits,
      floor,
      poolEpoch,
      sealEpoch,
      rootSlot: rootSlot === NO_SLOT ? -1 : rootSlot,
      peerCommits,
      rolledBack,
      virtualFloors,
    }
  })
}

function decode<T>(bytes: Uint8Array, newest: number, read: (reader: ByteReader, format: number) => T): T {
  const reader = new ByteReader(bytes)
  const format = reader.u8()
  if (format < 1 || format > newest)
    throw new StoreError(`The store holds a record of format ${format}; this version reads up to ${newest}`)
  const record = read(reader, format)
  reader.end()
  return record
}

function pick<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new StoreError(`The store holds an unknown value ${index}`)
  return value
}
