import { ProtocolError } from '../../errors.ts'
import { createKem } from '../../key/post-quantum.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'
import { count, type FieldKind, fixedBytes, u8, u16, u32, u64 } from '../../util/message-fields.ts'
import { peerBlocks } from './peer-block.ts'

/**
 * The messages between two KMSs about one pool. Every message carries its number in the session and its sender's commit
 * number; encoder and decoder come from the one table below.
 */

export const WIRE_VERSION = 5
export const NONCE_BYTES = 16
/** What a hello says of its sender's store: it was put back; it is known from elsewhere than the peer that it was not. */
export const STORE_BITS = { rolledBack: 1, vouched: 2 } as const
/** The key encapsulation that goes into every pair secret. */
export const PAIR_KEM = createKem('ML-KEM-768')
/** Names in one list at most. */
export const MAX_LIST = 64
const MAX_NAME_BYTES = 291

const bytes16 = fixedBytes(16)
const bytes32 = fixedBytes(32)
const name: FieldKind<string> = {
  write: (w, v) => w.field(v),
  read: r => {
    const field = r.field()
    if (field.byteLength > MAX_NAME_BYTES)
      throw new ProtocolError(`A name in the message is longer than ${MAX_NAME_BYTES} bytes`)
    return field.toString('utf8')
  },
}
const names: FieldKind<readonly string[]> = {
  write: (w, v) => {
    w.u16(v.length)
    for (const item of v) w.field(item)
  },
  read: r => {
    const length = r.u16()
    if (length > MAX_LIST)
      throw new ProtocolError(`A list in the message has ${length} entries; at most ${MAX_LIST} are allowed`)
    return Array.from({ length }, () => name.read(r))
  },
}
/** Bytes behind their 32-bit length; the message that they stand in bounds them. */
const bytes: FieldKind<Uint8Array> = {
  write: (w, v) => w.u32(v.byteLength).raw(v),
  read: r => new Uint8Array(r.raw(r.u32())),
}
const secret32: FieldKind<SecretKey> = {
  write: (w, v) => v.expose('kms-channel', bytes => w.raw(bytes)),
  read: r => SecretKey.copyOf(r.raw(32)),
}

/** Every message by its name: its number on the wire, and its fields in order. */
const MESSAGES = {
  hello: {
    id: 1,
    fields: {
      version: u16,
      siteId: name,
      poolId: name,
      startNonce: bytes16,
      commits: count,
      heardCommits: count,
      lifetimeMs: u32,
      floor: u64,
      poolEpoch: u32,
      sealEpoch: u32,
      rootCheck: bytes16,
      pendingCheck: bytes16,
      kems: u8,
      /** Bits: `STORE_BITS`. */
      store: u8,
    },
  },
  contribute: { id: 2, fields: { half: secret32, kemKey: fixedBytes(PAIR_KEM.publicKeyBytes) } },
  confirm: { id: 3, fields: { mac: bytes32, certificate: bytes, signature: bytes } },
  mark: { id: 4, fields: {} },
  tag: {
    id: 5,
    fields: {
      block: u64,
      grant: u32,
      trustClass: u8,
      relays: names,
      owner: name,
      macBlock: u64,
      epoch: u32,
      tag: bytes16,
    },
  },
  ready: { id: 6, fields: { block: u64, grant: u32, tag: bytes16 } },
  drop: { id: 7, fields: { block: u64, grant: u32, reason: name } },
  dropOk: { id: 8, fields: { block: u64 } },
  lease: { id: 9, fields: { block: u64, grant: u32, from: u16, cells: u16, nonce: bytes16 } },
  leaseOk: { id: 10, fields: { block: u64, nonce: bytes16 } },
  leaseNo: { id: 11, fields: { block: u64, nonce: bytes16, horizon: u16, grant: u32, absent: u8 } },
  renew: { id: 12, fields: { block: u64, grant: u32, from: u16, to: u16, nonce: bytes16 } },
  grantAsk: { id: 13, fields: { blocks: u16 } },
  grant: { id: 14, fields: { block: u64, grant: u32 } },
  grantOk: { id: 15, fields: { block: u64, grant: u32 } },
  grantNo: { id: 16, fields: { block: u64, grant: u32 } },
  status: { id: 17, fields: { block: u64, grant: u32 } },
  finished: { id: 18, fields: { block: u64, grant: u32 } },
  open: {
    id: 20,
    fields: { block: u64, cells: u16, seedBlock: u64, seedOffset: u16, epoch: u32 },
  },
  share: {
    id: 21,
    fields: {
      nonce: bytes16,
      masterSaeId: name,
      slaveSaeId: name,
      saeIds: names,
      level: u8,
      trustClass: u8,
      sizeBytes: u32,
      keyIds: names,
      pads: names,
      sealed: bytes,
      /** How the keys, and what hides them, came to their sites: `StoredWay`s as JSON. */
      ways: bytes,
    },
  },
  shareOk: { id: 22, fields: { nonce: bytes16 } },
  shareNo: { id: 23, fields: { nonce: bytes16, code: name, reason: name } },
  unshare: { id: 24, fields: { masterSaeId: name, slaveSaeId: name, keyIds: names } },
  ratchetOffer: {
    id: 25,
    fields: { epoch: u32, offered: u8, kem: u8, key: bytes, certificate: bytes, before: bytes32 },
  },
  ratchetAnswer: {
    id: 26,
    fields: { epoch: u32, offered: u8, ciphertext: bytes, certificate: bytes, signature: bytes },
  },
  ratchetProof: { id: 27, fields: { epoch: u32, signature: bytes, mac: bytes32 } },
  ratchetDone: { id: 28, fields: { epoch: u32, mac: bytes32 } },
  ratchetNo: { id: 29, fields: { epoch: u32, reason: name } },
  ratchetAsk: { id: 30, fields: {} },
  /** Times of day in milliseconds since 1970, each by its sender's clock. */
  clock: { id: 33, fields: { asked: count } },
  clockEcho: { id: 34, fields: { asked: count, received: count, answered: count } },
  resync: { id: 31, fields: { nonce: bytes16 } },
  state: {
    id: 32,
    fields: { nonce: bytes16, isLast: u8, floor: u64, virtualFloorA: u64, virtualFloorB: u64, blocks: peerBlocks },
  },
  /** Keys that are not to leave: an `Incident`, and what it came to (`IncidentEffect`), as JSON. */
  incident: { id: 35, fields: { nonce: bytes16, body: bytes } },
  incidentOk: { id: 36, fields: { nonce: bytes16, body: bytes } },
  incidentNo: { id: 37, fields: { nonce: bytes16, reason: name } },
  encapsulated: { id: 19, fields: { ciphertext: fixedBytes(PAIR_KEM.ciphertextBytes) } },
} as const

type Messages = typeof MESSAGES
export type MessageName = keyof Messages
type FieldValue<F> = F extends FieldKind<infer T> ? T : never
export type MessageFields<N extends MessageName> = {
  [F in keyof Messages[N]['fields']]: FieldValue<Messages[N]['fields'][F]>
}
export type PeerMessage = { [N in MessageName]: { readonly name: N } & Readonly<MessageFields<N>> }[MessageName]

/** What stands before every message. */
export interface Envelope {
  /** 1 for the first message of a session and one more for each that follows. */
  readonly sequence: number
  /** The sender's durable commit number for this pool. */
  readonly commits: number
}

const byId = new Map<number, MessageName>(Object.entries(MESSAGES).map(([key, { id }]) => [id, key as MessageName]))

/** A message as it goes over the channel, in a buffer of its own. */
export function encodeMessage(envelope: Envelope, message: PeerMessage): Buffer {
  const { id, fields } = MESSAGES[message.name]
  const writer = new ByteWriter().u8(id).u32(envelope.sequence)
  count.write(writer, envelope.commits)
  for (const [field, kind] of Object.entries(fields)) {
    ;(kind as FieldKind<unknown>).write(writer, (message as unknown as Record<string, unknown>)[field])
  }
  return writer.bytes()
}

/** @throws {ProtocolError} the bytes are not one whole message of a known kind */
export function decodeMessage(bytes: Uint8Array): { envelope: Envelope; message: PeerMessage } {
  const reader = new ByteReader(bytes)
  const id = reader.u8()
  const messageName = byId.get(id)
  if (messageName === undefined) throw new ProtocolError(`Unknown message ${id}`)
  const envelope = { sequence: reader.u32(), commits: count.read(reader) }
  const message: Record<string, unknown> = { name: messageName }
  for (const [field, kind] of Object.entries(MESSAGES[messageName].fields)) {
    message[field] = (kind as FieldKind<unknown>).read(reader)
  }
  reader.end()
  return { envelope, message: message as PeerMessage }
}
