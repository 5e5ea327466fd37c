import { ProtocolError } from '../../errors.ts'
import type { LinkMark } from '../../interface/qnl.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'
import { count, type FieldKind, fixedBytes, u8, u16, u32, u64 } from '../../util/message-fields.ts'

/**
 * The messages between two nodes but for frames (`frame.ts`): of two neighbours about the key of their link, and of the two
 * ends of a pair about the blocks between them. Encoder and decoder come from the one table below.
 */

export const RELAY_WIRE_VERSION = 2
/** Length of the number that is drawn afresh for each reservation. */
export const NONCE_BYTES = 16
/** Sites of one path at most, both ends included. */
export const MAX_PATH_SITES = 32
/** Shares of one key at most. */
export const MAX_SHARES = 16
const MAX_NAME_BYTES = 512
const MAX_LINKS = 256
const MAX_BLOCKS = 4096
const MAX_CHUNKS = 4096

/** A site or link ID. */
export const name: FieldKind<string> = {
  write: (w, v) => w.field(v),
  read: r => {
    const field = r.field()
    if (field.byteLength === 0 || field.byteLength > MAX_NAME_BYTES) {
      throw new ProtocolError(`A name in the message has ${field.byteLength} bytes; 1 to ${MAX_NAME_BYTES} are allowed`)
    }
    return field.toString('utf8')
  },
}
/** A list of at most so many, behind its length. */
export function list<T>(item: FieldKind<T>, max: number): FieldKind<readonly T[]> {
  return {
    write: (w, values) => {
      w.u16(values.length)
      for (const value of values) item.write(w, value)
    },
    read: r => {
      const length = r.u16()
      if (length > max) throw new ProtocolError(`A list in the message has ${length} entries, more than ${max}`)
      return Array.from({ length }, () => item.read(r))
    },
  }
}

/** What one end says of a link when it meets the other. */
export interface LinkHello {
  readonly linkId: string
  readonly commits: number
  readonly heardCommits: number
  /** No block at or below it will come to this end any more. */
  readonly taken: bigint
  /** Blocks that it has and nobody reserved, ascending. */
  readonly numbers: readonly bigint[]
}
const linkHello: FieldKind<LinkHello> = {
  write: (w, { linkId, commits, heardCommits, taken, numbers }) => {
    name.write(w, linkId)
    count.write(w, commits)
    count.write(w, heardCommits)
    u64.write(w, taken)
    blocks.write(w, numbers)
  },
  read: r => ({
    linkId: name.read(r),
    commits: count.read(r),
    heardCommits: count.read(r),
    taken: u64.read(r),
    numbers: blocks.read(r),
  }),
}
const SECRECIES = ['quantum', 'computational', 'none'] as const
/** Error rates go as millionths; above all of them stands for a link that measures none. */
const NO_QBER = 0xffffffff
const linkMark: FieldKind<LinkMark> = {
  write: (w, { linkId, siteIds, secrecy, simulated, qber }) => {
    for (const text of [linkId, ...siteIds]) name.write(w, text)
    w.u8(SECRECIES.indexOf(secrecy))
      .u8(simulated ? 1 : 0)
      .u32(qber === undefined ? NO_QBER : Math.round(qber * 1e6))
  },
  read: r => {
    const [linkId, siteIds] = [name.read(r), [name.read(r), name.read(r)] as const]
    const [secrecy, simulated, qber] = [SECRECIES[r.u8()], r.u8() === 1, r.u32()]
    if (secrecy === undefined || (qber > 1e6 && qber !== NO_QBER)) throw new ProtocolError('A link is told of wrongly')
    return { linkId, siteIds, secrecy, simulated, ...(qber !== NO_QBER && { qber: qber / 1e6 }) }
  },
}
const blocks = list(u64, MAX_BLOCKS)
const nonce = fixedBytes(NONCE_BYTES)
const tag = fixedBytes(16)
/** The XOR of two ranges of link key: at most 65,535 bytes, by its length before it. */
const jointBytes: FieldKind<Uint8Array> = {
  write: (w, v) => w.field(v),
  read: r => Uint8Array.from(r.field()),
}
/** Sites in order. */
export const path = list(name, MAX_PATH_SITES)

/** Every message by its name: its number on the wire, and its fields in order. */
const MESSAGES = {
  hello: { id: 1, fields: { version: u16, siteId: name, links: list(linkHello, MAX_LINKS) } },
  /** Asks the other end to give these blocks of the link up, so that this end may encrypt with them. */
  lease: { id: 2, fields: { linkId: name, nonce, commits: count, numbers: blocks } },
  /** Given up, durably: the asker may use them. Those refused are lost to it. */
  leased: { id: 3, fields: { linkId: name, nonce, commits: count, granted: blocks, refused: blocks } },
  /** What the sender has of the link now, as in its hello. */
  stock: { id: 15, fields: { link: linkHello } },
  /**
   * A key is on its way: one path for each share. `block` is set where a block of the common link is the key itself,
   * `announced` where a range of the first link is, and relays announce.
   */
  offer: {
    id: 5,
    fields: {
      transfer: u64,
      split: u8,
      sizeBytes: u32,
      chunkBytes: u32,
      block: u64,
      paths: list(path, MAX_SHARES),
      announced: u8,
    },
  },
  accept: { id: 6, fields: { transfer: u64 } },
  /** From now on the share may come on this path too. */
  reroute: { id: 7, fields: { transfer: u64, share: u8, path } },
  /** All is there: its tag, and 1 where a hop was without a quantum channel. */
  confirm: { id: 8, fields: { transfer: u64, weak: u8, tag } },
  /** The tag was right, here is the other one; `number` is set where the sender of the key numbers the blocks. */
  done: { id: 9, fields: { transfer: u64, number: u64, tag } },
  /** The number of a block, where its taker numbers. */
  numbered: { id: 10, fields: { transfer: u64, number: u64 } },
  drop: { id: 11, fields: { transfer: u64, reason: name } },
  /** What is still missing? */
  ask: { id: 12, fields: { transfer: u64 } },
  missing: { id: 13, fields: { transfer: u64, chunks: list(u16, MAX_CHUNKS) } },
  /** Numbers at or below it are spent at the sender's KMS. */
  floor: { id: 14, fields: { number: u64 } },
  /** A relay says aloud how the ranges of its two links differ. */
  joint: { id: 17, fields: { source: name, dest: name, transfer: u64, path, place: u8, joint: jointBytes, tag } },
  /** What the sender's links are like now. */
  news: { id: 16, fields: { links: list(linkMark, MAX_LINKS) } },
} as const

type Table = typeof MESSAGES
export type RelayMessageName = keyof Table
type Fields<N extends RelayMessageName> = {
  readonly [F in keyof Table[N]['fields']]: Table[N]['fields'][F] extends FieldKind<infer T> ? T : never
}
export type RelayMessage = { [N in RelayMessageName]: { readonly type: N } & Fields<N> }[RelayMessageName]

/** Number of a frame on the wire: what stands at its beginning. */
export const FRAME_ID = 4

const byId = new Map(Object.entries(MESSAGES).map(([type, { id }]) => [id as number, type as RelayMessageName]))

/** The message as it goes on the wire. */
export function encodeRelayMessage(message: RelayMessage): Buffer {
  const { id, fields } = MESSAGES[message.type]
  const writer = new ByteWriter().u8(id)
  for (const [field, kind] of Object.entries(fields) as [string, FieldKind<unknown>][]) {
    kind.write(writer, (message as unknown as Record<string, unknown>)[field])
  }
  return writer.bytes()
}

/** @throws {ProtocolError} the bytes are no message, or a field is out of its bounds */
export function decodeRelayMessage(bytes: Uint8Array): RelayMessage {
  const reader = new ByteReader(bytes)
  const id = reader.u8()
  const type = byId.get(id)
  if (type === undefined) throw new ProtocolError(`A message of number ${id}, which there is not`)
  const message: Record<string, unknown> = { type }
  for (const [field, kind] of Object.entries(MESSAGES[type].fields) as [string, FieldKind<unknown>][]) {
    message[field] = kind.read(reader)
  }
  reader.end()
  return message as unknown as RelayMessage
}
