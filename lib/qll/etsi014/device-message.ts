import { ProtocolError } from '../../errors.ts'
import type { LinkState } from '../../interface/link.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'

/** Length of a block's tag, in bytes. */
const TAG_BYTES = 16
/** Keys of one batch, at most. */
export const MAX_BATCH_KEYS = 1_024
/** Longest reason that is passed on, in characters. */
const MAX_REASON_CHARS = 200

/**
 * What the two ends of an `Etsi014Link` say: the fetching end first its `hello`, the drawing end `welcome`. Keys never travel,
 * only their key_IDs, over a connection that is sealed and whose ends are proved.
 */
export type DeviceMessage =
  | {
      readonly type: 'hello'
      readonly blockSizeBytes: number
      /** What this end saw the devices yield last, in bits per second; 0 for nothing. */
      readonly rateBps: number
      /** Numbers at or below it are spent at the taker of this end. */
      readonly floor: bigint
      /** Of the drawing end that this end knows; 0 for none. */
      readonly epoch: bigint
      /** Batches of that epoch that this end holds. */
      readonly batches: readonly number[]
      /** Blocks of that epoch that this end has proved, the newest ones. */
      readonly blocks: readonly bigint[]
    }
  | {
      readonly type: 'welcome'
      readonly blockSizeBytes: number
      readonly rateBps: number
      /** Drawn anew by each process of the drawing end: what an earlier one drew, this one has not. */
      readonly epoch: bigint
      /** Those of the `hello` that both ends keep. */
      readonly batches: readonly number[]
    }
  /** So many more blocks have room. */
  | { readonly type: 'credit'; readonly blocks: number }
  | { readonly type: 'floor'; readonly number: bigint }
  /** Keys that were drawn; the other end fetches them under these key_IDs. */
  | { readonly type: 'batch'; readonly batch: number; readonly keyIds: readonly string[] }
  | { readonly type: 'fetched'; readonly batch: number; readonly sizeBytes: number }
  /** They could not be had: both ends drop the batch. */
  | { readonly type: 'failed'; readonly batch: number; readonly reason: string }
  /** A block out of these batches, and the drawing end's tag of it. */
  | {
      readonly type: 'block'
      readonly number: bigint
      readonly rateBps: number
      readonly tag: Uint8Array
      readonly batches: readonly number[]
    }
  /** The fetching end has the same block: its own tag. */
  | { readonly type: 'received'; readonly number: bigint; readonly tag: Uint8Array }
  /** It has another one: both ends drop it. */
  | { readonly type: 'mismatch'; readonly number: bigint }
  /** How the drawing end sees the link. */
  | { readonly type: 'state'; readonly state: LinkState; readonly reason: string }

const TYPES = [
  'hello',
  'welcome',
  'credit',
  'floor',
  'batch',
  'fetched',
  'failed',
  'block',
  'received',
  'mismatch',
  'state',
] as const satisfies readonly DeviceMessage['type'][]
const STATES = ['up', 'degraded', 'down'] as const satisfies readonly LinkState[]

/** The bytes of a message. */
export function encodeMessage(message: DeviceMessage): Buffer {
  const writer = new ByteWriter().u8(TYPES.indexOf(message.type))
  const list = <T>(items: readonly T[], write: (item: T) => void) => {
    writer.u16(items.length)
    for (const item of items) write(item)
  }
  switch (message.type) {
    case 'hello':
      writer.u32(message.blockSizeBytes).u64(BigInt(message.rateBps)).u64(message.floor).u64(message.epoch)
      list(message.batches, batch => writer.u32(batch))
      list(message.blocks, number => writer.u64(number))
      break
    case 'welcome':
      writer.u32(message.blockSizeBytes).u64(BigInt(message.rateBps)).u64(message.epoch)
      list(message.batches, batch => writer.u32(batch))
      break
    case 'credit':
      writer.u16(message.blocks)
      break
    case 'floor':
    case 'mismatch':
      writer.u64(message.number)
      break
    case 'batch':
      writer.u32(message.batch)
      list(message.keyIds, keyId => writer.field(keyId))
      break
    case 'fetched':
      writer.u32(message.batch).u32(message.sizeBytes)
      break
    case 'failed':
      writer.u32(message.batch).field(message.reason.slice(0, MAX_REASON_CHARS))
      break
    case 'block':
      writer.u64(message.number).u64(BigInt(message.rateBps)).raw(message.tag)
      list(message.batches, batch => writer.u32(batch))
      break
    case 'received':
      writer.u64(message.number).raw(message.tag)
      break
    case 'state':
      writer.u8(STATES.indexOf(message.state)).field(message.reason.slice(0, MAX_REASON_CHARS))
  }
  return writer.bytes()
}

/**
 * The message that the bytes are.
 * @throws {ProtocolError} they are none
 */
export function decodeMessage(bytes: Uint8Array): DeviceMessage {
  const reader = new ByteReader(bytes)
  const type = TYPES[reader.u8()]
  if (type === undefined) throw new ProtocolError('The other end sent a message of an unknown type')
  const message = readFields(type, reader)
  reader.end()
  return message
}

function readFields(type: DeviceMessage['type'], reader: ByteReader): DeviceMessage {
  const list = <T>(read: () => T): T[] => {
    const count = reader.u16()
    if (count > MAX_BATCH_KEYS) throw new ProtocolError(`A list of ${count} is longer than ${MAX_BATCH_KEYS}`)
    return Array.from({ length: count }, read)
  }
  const batches = () => list(() => reader.u32())
  const rate = () => Number(reader.u64())
  const tag = () => Uint8Array.from(reader.raw(TAG_BYTES))
  switch (type) {
    case 'hello': {
      const [blockSizeBytes, rateBps, floor, epoch] = [reader.u32(), rate(), reader.u64(), reader.u64()]
      return { type, blockSizeBytes, rateBps, floor, epoch, batches: batches(), blocks: list(() => reader.u64()) }
    }
    case 'welcome':
      return { type, blockSizeBytes: reader.u32(), rateBps: rate(), epoch: reader.u64(), batches: batches() }
    case 'credit':
      return { type, blocks: reader.u16() }
    case 'floor':
    case 'mismatch':
      return { type, number: reader.u64() }
    case 'batch':
      return { type, batch: reader.u32(), keyIds: list(() => reader.text()) }
    case 'fetched':
      return { type, batch: reader.u32(), sizeBytes: reader.u32() }
    case 'failed':
      return { type, batch: reader.u32(), reason: reader.text() }
    case 'block':
      return { type, number: reader.u64(), rateBps: rate(), tag: tag(), batches: batches() }
    case 'received':
      return { type, number: reader.u64(), tag: tag() }
    case 'state': {
      const state = STATES[reader.u8()]
      if (state === undefined) throw new ProtocolError('The other end is in an unknown state')
      return { type, state, reason: reader.text() }
    }
  }
}
