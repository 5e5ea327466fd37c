/**
 * Messages between the process that has the end of a link and the network layer of its site, over a channel that has
 * authenticated both. A block is at the link until the network layer says that it has it, and is handed on there only once the
 * link has said that it let go of it: whatever is lost on the way, no block is in use and still at the link.
 */
import { ProtocolError } from '../../errors.ts'
import type { LinkStatus } from '../../interface/link.ts'
import { SecretKey } from '../../key/secret-key.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'
import { compileSchema, describeFaults, type JsonSchema } from '../../util/json-schema.ts'

/** Version of the messages, told by either end at first. */
export const LINK_WIRE_VERSION = 1

/** Blocks that a network layer may hold and not have been given: it asks for what its takers wait for. */
export const MAX_HELD = 1_024

/** What the network layer says. */
export type ToLink =
  /** Which link is meant, and which of its blocks came before the last connection was lost. First. */
  | { readonly type: 'open'; readonly linkId: string; readonly held: readonly bigint[] }
  /** Blocks that may be sent on this connection, in all; and the number at or below which they are spent. */
  | { readonly type: 'want'; readonly upTo: number; readonly after: bigint }
  /** The block is here: the link may let go of it. */
  | { readonly type: 'received'; readonly number: bigint }

/** What the process of the link says. */
export type FromLink =
  | { readonly type: 'hello'; readonly status: LinkStatus }
  | { readonly type: 'status'; readonly status: LinkStatus }
  /** `bufferedBits` is what still waits at the link. */
  | { readonly type: 'block'; readonly number: bigint; readonly bufferedBits: bigint; readonly secret: SecretKey }
  /** The block is at the link no more. */
  | { readonly type: 'released'; readonly number: bigint }

const TO = ['open', 'want', 'received'] as const
const FROM = ['hello', 'status', 'block', 'released'] as const

const text: JsonSchema = { type: 'string' }
const amount: JsonSchema = { type: 'number', minimum: 0 }
const fields = {
  linkId: text,
  localSiteId: text,
  remoteSiteId: text,
  kind: { enum: ['simulated', 'fibre', 'free-space', 'satellite', 'device', 'post-quantum'] },
  secrecy: { enum: ['quantum', 'computational', 'none'] },
  simulated: { type: 'boolean' },
  state: { enum: ['up', 'degraded', 'down'] },
  rateBps: amount,
  bufferedBits: amount,
  blockSizeBytes: { type: 'integer', minimum: 1 },
}
const checkStatus = compileSchema<LinkStatus>({
  type: 'object',
  properties: { ...fields, reason: text, qber: { type: 'number', minimum: 0, maximum: 1 } },
  required: Object.keys(fields),
  additionalProperties: false,
})

/** A message of the network layer. */
export function encodeToLink(message: ToLink): Buffer {
  const writer = new ByteWriter().u8(TO.indexOf(message.type))
  if (message.type === 'received') return writer.u64(message.number).bytes()
  if (message.type === 'want') return writer.u32(message.upTo).u64(message.after).bytes()
  writer.u16(LINK_WIRE_VERSION).field(message.linkId).u16(message.held.length)
  for (const number of message.held) writer.u64(number)
  return writer.bytes()
}

/** @throws {ProtocolError} not a message of this format */
export function decodeToLink(bytes: Uint8Array): ToLink {
  const reader = new ByteReader(bytes)
  const message = readToLink(reader)
  reader.end()
  return message
}

/** A message of the link, in a buffer of its own; the caller wipes it once it is sent. */
export function encodeFromLink(message: FromLink): Buffer {
  const writer = new ByteWriter().u8(FROM.indexOf(message.type))
  switch (message.type) {
    case 'hello':
    case 'status':
      if (message.type === 'hello') writer.u16(LINK_WIRE_VERSION)
      return writer.field(JSON.stringify(message.status)).bytes()
    case 'released':
      return writer.u64(message.number).bytes()
    case 'block': {
      const { number, bufferedBits, secret } = message
      writer.u64(number).u64(bufferedBits)
      return secret.expose('link-channel', bytes => writer.raw(bytes).bytes())
    }
  }
}

/**
 * A block's secret is copied: the caller wipes `bytes`.
 * @throws {ProtocolError} not a message of this format
 */
export function decodeFromLink(bytes: Uint8Array): FromLink {
  const reader = new ByteReader(bytes)
  const code = reader.u8()
  const type = FROM[code]
  if (type === undefined) throw new ProtocolError(`No message of a link has number ${code}`)
  if (type === 'block') {
    const [number, bufferedBits] = [reader.u64(), reader.u64()]
    if (reader.remaining === 0) throw new ProtocolError('The block is empty')
    return { type, number, bufferedBits, secret: SecretKey.copyOf(reader.raw(reader.remaining)) }
  }
  if (type === 'hello') requireVersion(reader.u16())
  const message = type === 'released' ? { type, number: reader.u64() } : { type, status: readStatus(reader) }
  reader.end()
  return message
}

function readToLink(reader: ByteReader): ToLink {
  const code = reader.u8()
  switch (TO[code]) {
    case 'open': {
      requireVersion(reader.u16())
      const linkId = reader.text()
      const count = reader.u16()
      if (count > MAX_HELD) throw new ProtocolError(`${count} blocks held where ${MAX_HELD} may be`)
      return { type: 'open', linkId, held: Array.from({ length: count }, () => reader.u64()) }
    }
    case 'want':
      return { type: 'want', upTo: reader.u32(), after: reader.u64() }
    case 'received':
      return { type: 'received', number: reader.u64() }
    default:
      throw new ProtocolError(`No message to a link has number ${code}`)
  }
}

function readStatus(reader: ByteReader): LinkStatus {
  let value: unknown
  try {
    value = JSON.parse(reader.text())
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    // Without the parser's own error: it quotes the bytes, and a wrong length could make them a block's.
    throw new ProtocolError('The status of a link is not JSON')
  }
  const checked = checkStatus(value)
  if (!checked.ok) throw new ProtocolError(`The status of a link is wrong: ${describeFaults(checked.faults)}`)
  const { reason, qber, ...rest } = checked.value
  // JSON leaves undefined fields out; here they are there, as at the link itself.
  return { ...rest, reason, qber }
}

function requireVersion(version: number): void {
  if (version === LINK_WIRE_VERSION) return
  throw new ProtocolError(`The other end speaks version ${version} of a link's messages, this one ${LINK_WIRE_VERSION}`)
}
