import { createHash } from 'node:crypto'
import { StoreError } from '../../errors.ts'
import type { SecurityLevel, TrustClass } from '../../interface/kms.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'
import { decodeWays, encodeWays, type StoredWay } from './block-way.ts'

/** The stored form of a key that several SAEs get, as a note of the pool that it came by. */

/** The ways came with format 2. */
const FORMAT = 2
const PREFIX = 'shared '
const NO_SLOT = 0xffffffff
export const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
export const TRUST_CLASSES: readonly TrustClass[] = ['direct', 'split', 'relayed', 'post-quantum']

/** An SAE of this site that may fetch the key, once. */
export interface Recipient {
  readonly saeId: string
  readonly taken: boolean
}

/** Where the bytes of a shared key are. */
export type HeldKey =
  /** In the cells that its key_ID names, until all have it. */
  | { readonly kind: 'cells' }
  /** Beside the record, sealed under a key in that slot; -1 once all have it. */
  | { readonly kind: 'sealed'; readonly slot: number; readonly sealed: Uint8Array }

/** A key that several SAEs of this site get. */
export interface SharedKeyRecord {
  readonly masterSaeId: string
  /** The slave that its key_ID is sealed for. */
  readonly slaveSaeId: string
  readonly recipients: readonly Recipient[]
  readonly level: SecurityLevel
  readonly trustClass: TrustClass
  readonly sizeBytes: number
  /** Wall clock; nobody gets it after that. */
  readonly expiresAtMs: number
  readonly held: HeldKey
  /** How it, and what hid it on its way, came to its sites. */
  readonly ways: readonly StoredWay[]
}

/** What the record of a key is called: nobody learns key_IDs from the store. */
export function sharedKeyName(canonicalId: string): string {
  return PREFIX + createHash('sha256').update(canonicalId).digest('hex')
}

/** True for the name of a note that is a shared key. */
export function isSharedKeyName(name: string): boolean {
  return name.startsWith(PREFIX)
}

/** The record once a recipient has its key; of a key that all have, no bytes are left. */
export function withTaken(record: SharedKeyRecord, saeId: string): SharedKeyRecord {
  const recipients = record.recipients.map(one => (one.saeId === saeId ? { saeId, taken: true } : one))
  const { held } = record
  const isLast = recipients.every(({ taken }) => taken)
  return {
    ...record,
    recipients,
    held: isLast && held.kind === 'sealed' ? { ...held, slot: -1, sealed: NOTHING } : held,
  }
}

const NOTHING = new Uint8Array(0)

/** The record as it is stored. */
export function encodeSharedKey(record: SharedKeyRecord): Buffer {
  const { held, recipients } = record
  const writer = new ByteWriter()
    .u8(FORMAT)
    .field(record.masterSaeId)
    .field(record.slaveSaeId)
    .u8(LEVELS.indexOf(record.level))
    .u8(TRUST_CLASSES.indexOf(record.trustClass))
    .u32(record.sizeBytes)
    .u64(BigInt(Math.round(record.expiresAtMs)))
    .u16(recipients.length)
  for (const { saeId, taken } of recipients) writer.field(saeId).u8(taken ? 1 : 0)
  writer.field(encodeWays(record.ways))
  if (held.kind === 'cells') return writer.u8(0).bytes()
  return writer
    .u8(1)
    .u32(held.slot < 0 ? NO_SLOT : held.slot)
    .field(held.sealed)
    .bytes()
}

/** @throws {StoreError} the record is of another format, or damaged */
export function decodeSharedKey(bytes: Uint8Array): SharedKeyRecord {
  const reader = new ByteReader(bytes)
  const format = reader.u8()
  if (format !== FORMAT && format !== 1)
    throw new StoreError(`The store holds a shared key of format ${format}; this version reads ${FORMAT}`)
  const record = {
    masterSaeId: reader.text(),
    slaveSaeId: reader.text(),
    level: pick(LEVELS, reader.u8()),
    trustClass: pick(TRUST_CLASSES, reader.u8()),
    sizeBytes: reader.u32(),
    expiresAtMs: Number(reader.u64()),
    recipients: Array.from({ length: reader.u16() }, () => ({ saeId: reader.text(), taken: reader.u8() === 1 })),
    ways: format === 1 ? [] : decodeWays(reader.field()),
    held: reader.u8() === 0 ? ({ kind: 'cells' } as const) : readSealed(reader),
  }
  reader.end()
  return record
}

function readSealed(reader: ByteReader): HeldKey {
  const slot = reader.u32()
  return { kind: 'sealed', slot: slot === NO_SLOT ? -1 : slot, sealed: Uint8Array.from(reader.field()) }
}

function pick<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new StoreError(`The store holds an unknown value ${index}`)
  return value
}
