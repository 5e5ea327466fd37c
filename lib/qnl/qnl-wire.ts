/**
 * Messages between a QNL node and the KMS of its site, over a channel that has authenticated both. A message is: type
 * u8, id u32 (of the call it belongs to, 0 where there is none), length u32 of the head, the head in JSON, and after a
 * block's head its bytes.
 */
import { ProtocolError } from '../errors.ts'
import { SecretKey } from '../key/secret-key.ts'
import { ByteReader, ByteWriter } from '../util/bytes.ts'
import { describeFaults } from '../util/json-schema.ts'
import { headChecks, type QnlHeads } from './qnl-message.ts'

/** One message of each type; a `block` alone has a secret. */
export type QnlMessage = {
  [T in keyof QnlHeads]: { type: T; id: number; head: QnlHeads[T] } & (T extends 'block'
    ? { secret: SecretKey }
    : unknown)
}[keyof QnlHeads]

const TYPES = ['hello', 'call', 'cancel', 'cancelled', 'answer', 'block', 'failure', 'event'] as const

/** The message in a buffer of its own; the caller wipes it once it is sent. */
export function encodeQnlMessage(message: QnlMessage): Buffer {
  const json = Buffer.from(JSON.stringify(message.head), 'utf8')
  const head = new ByteWriter().u8(TYPES.indexOf(message.type)).u32(message.id).u32(json.byteLength).raw(json).bytes()
  if (message.type !== 'block') return head
  const out = Buffer.allocUnsafeSlow(head.byteLength + message.secret.sizeBytes)
  out.set(head)
  message.secret.expose('qnl-channel', bytes => out.set(bytes, head.byteLength))
  return out
}

/**
 * The message in `bytes`. A block's secret is copied: the caller wipes `bytes`.
 * @throws {ProtocolError} not a message of this format
 */
export function decodeQnlMessage(bytes: Uint8Array): QnlMessage {
  const reader = new ByteReader(bytes)
  const code = reader.u8()
  const type = TYPES[code]
  if (type === undefined) throw new ProtocolError(`Message type ${code} is not known`)
  const id = reader.u32()
  const check = headChecks[type](parseJson(reader.raw(reader.u32())))
  if (!check.ok) throw new ProtocolError(`A message of type ${type} is wrong: ${describeFaults(check.faults)}`)
  const message = { type, id, head: check.value } as Exclude<QnlMessage, { type: 'block' }>
  if (type !== 'block') {
    reader.end()
    return message
  }
  if (reader.remaining === 0) throw new ProtocolError('The block is empty')
  return {
    ...message,
    type,
    head: check.value as QnlHeads['block'],
    secret: SecretKey.copyOf(reader.raw(reader.remaining)),
  }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    // Without the parser's own error: it quotes the bytes, and a wrong length could make them a block's.
    throw new ProtocolError('The head of a message is not JSON')
  }
}
