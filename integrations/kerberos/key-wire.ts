import { ProtocolError } from '../../lib/index.ts'
import type { KvnoEntry } from './kvno-table.ts'

// What the KDC module and the agent say to each other; plugin/wire.h has the layout and is the other half.

const MAGIC = 0x514b_4431
const REQUEST_HEAD_BYTES = 14
const REPLY_HEAD_BYTES = 16
const KEY_HEAD_BYTES = 4
const MAX_NAME_BYTES = 512

/** The longest request. */
export const MAX_REQUEST_BYTES = REQUEST_HEAD_BYTES + MAX_NAME_BYTES
/** How long the module may go on using a key without asking, at most, in milliseconds. */
export const MAX_VALID_MS = 1000

/** Why a request gets no key. */
export type KeyRefusal = 'unknown-kvno' | 'no-key' | 'refused'

const STATUS: Readonly<Record<KeyRefusal, number>> = {
  'unknown-kvno': 1,
  'no-key': 2,
  refused: 3,
}

/**
 * What a KDC asks. `current` and `version` come before the KDC's client is authenticated, `ticket` only after: it alone may
 * use a key up.
 */
export type KeyRequest = { readonly id: number; readonly principal: string } & (
  | { readonly op: 'current' }
  | { readonly op: 'version'; readonly kvno: number }
  | { readonly op: 'ticket' }
)

/** What a request gets: a key version for `validMs` (0 to 1000), or a refusal. */
export type KeyReply = { readonly version: KvnoEntry; readonly validMs: number } | { readonly refusal: KeyRefusal }

/**
 * The request at the head of `bytes`, and how many bytes it has; undefined while it is cut short.
 * @throws {ProtocolError} it can't become a request
 */
export function readRequest(bytes: Buffer): { request: KeyRequest; sizeBytes: number } | undefined {
  if (bytes.byteLength < REQUEST_HEAD_BYTES) return undefined
  const nameBytes = bytes.readUInt16BE(12)
  if (bytes.readUInt32BE(0) !== MAGIC || bytes[9] !== 0 || nameBytes === 0 || nameBytes > MAX_NAME_BYTES) {
    throw new ProtocolError('The head of a request is malformed')
  }
  const sizeBytes = REQUEST_HEAD_BYTES + nameBytes
  if (bytes.byteLength < sizeBytes) return undefined
  const id = bytes.readUInt32BE(4)
  const principal = readName(bytes.subarray(REQUEST_HEAD_BYTES, sizeBytes))
  return { request: { id, principal, ...readOp(String.fromCharCode(bytes[8]!), bytes.readUInt16BE(10)) }, sizeBytes }
}

function readName(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new ProtocolError('The principal of a request is not UTF-8', { cause })
  }
}

function readOp(op: string, kvno: number) {
  if (op === 'C' && kvno === 0) return { op: 'current' } as const
  if (op === 'T' && kvno === 0) return { op: 'ticket' } as const
  if (op === 'V' && kvno !== 0) return { op: 'version', kvno } as const
  throw new ProtocolError('The operation of a request is unknown')
}

/** The reply in bytes, which hold keys: who sends them wipes them. */
export function writeReply(id: number, reply: KeyReply): Buffer {
  if ('refusal' in reply) return writeHead(REPLY_HEAD_BYTES, { id, status: STATUS[reply.refusal] })
  const { keys, kvno } = reply.version
  const bodyBytes = keys.reduce((total, { secret }) => total + KEY_HEAD_BYTES + secret.sizeBytes, 0)
  const bytes = writeHead(REPLY_HEAD_BYTES + bodyBytes, {
    id,
    status: 0,
    count: keys.length,
    kvno,
    ...reply,
    bodyBytes,
  })
  let at = REPLY_HEAD_BYTES
  for (const { enctype, secret } of keys) {
    at = bytes.writeUInt16BE(enctype, at)
    at = bytes.writeUInt16BE(secret.sizeBytes, at)
    secret.expose('kdc-socket', key => bytes.set(key, at))
    at += secret.sizeBytes
  }
  return bytes
}

interface ReplyHead {
  readonly id: number
  readonly status: number
  readonly count?: number
  readonly kvno?: number
  readonly validMs?: number
  readonly bodyBytes?: number
}

function writeHead(
  sizeBytes: number,
  { id, status, count = 0, kvno = 0, validMs = 0, bodyBytes = 0 }: ReplyHead,
): Buffer {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes)
  bytes.writeUInt32BE(MAGIC, 0)
  bytes.writeUInt32BE(id, 4)
  bytes.writeUInt8(status, 8)
  bytes.writeUInt8(count, 9)
  bytes.writeUInt16BE(kvno, 10)
  bytes.writeUInt16BE(validMs, 12)
  bytes.writeUInt16BE(bodyBytes, 14)
  return bytes
}
