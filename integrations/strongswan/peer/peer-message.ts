import { ProtocolError } from '../../../lib/index.ts'
import type { IpsecMode, IpsecRole } from '../agent-config.ts'

/** Why an agent does not serve a connection to another. */
export type PeerRefusal = 'role-conflict' | 'unknown-connection' | 'mode-mismatch' | 'identity-mismatch' | 'wrong-peer'

/** Steps of a pre-shared key's rotation that one end reports to the other. */
export type PskStage = 'loaded' | 'retired'

/** A rotation that both ends have brought to its end. */
export interface CommittedKey {
  readonly epoch: number
  readonly keyId: string
}

/** Everything that two agents say to each other besides the agreement on the key. The initiator speaks first. */
export type PeerMessage =
  /** Opens a channel for one connection; `ids` are the sender's IKE identity and its peer's. */
  | {
      readonly type: 'hello'
      readonly connection: string
      readonly role: IpsecRole
      readonly mode: IpsecMode
      readonly ids: readonly string[]
      readonly epoch: number
      readonly committed: CommittedKey | null
    }
  /** The other end serves the connection; `epoch` is the highest that it has seen. */
  | { readonly type: 'welcome'; readonly epoch: number }
  | { readonly type: 'refusal'; readonly code: PeerRefusal }
  /** A rotation begins; an agreement on its key follows. */
  | { readonly type: 'prepare'; readonly epoch: number }
  | { readonly type: 'prepared'; readonly epoch: number }
  /** The responder's charon has the key. */
  | { readonly type: 'ready'; readonly epoch: number; readonly keyId: string }
  /** The initiator's charon has said that the new SA stands on the key. */
  | { readonly type: 'confirm'; readonly epoch: number; readonly keyId: string }
  | { readonly type: 'confirmed'; readonly epoch: number; readonly keyId: string }
  /** The key is in use: what it replaces may go. */
  | { readonly type: 'commit'; readonly epoch: number; readonly keyId: string }
  | { readonly type: 'committed'; readonly epoch: number; readonly keyId: string }
  | { readonly type: 'stage'; readonly epoch: number; readonly stage: PskStage }
  | { readonly type: 'staged'; readonly epoch: number; readonly stage: PskStage }
  /** The sender gives the rotation up. */
  | { readonly type: 'failed'; readonly epoch: number; readonly reason: string }
  /** The responder asks for a rotation. */
  | { readonly type: 'wanted'; readonly reason: string }

/** Longest message of an agent, in bytes. */
const MAX_BYTES = 8_192
const MAX_REASON_CHARS = 500

type Check = (value: unknown) => boolean

const oneOf =
  (...words: readonly string[]): Check =>
  value =>
    typeof value === 'string' && words.includes(value)
const text =
  (max: number): Check =>
  value =>
    typeof value === 'string' && value.length >= 1 && value.length <= max
const epoch: Check = value => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const keyId: Check = value => typeof value === 'string' && /^[\x21-\x7e]{1,128}$/.test(value)
const committed: Check = value => value === null || fits(value, { epoch, keyId })
const stage = oneOf('loaded', 'retired')

/** What each message has besides its type and number: all of it, and nothing else. */
const FIELDS: Readonly<Record<PeerMessage['type'], Readonly<Record<string, Check>>>> = {
  hello: {
    connection: text(64),
    role: oneOf('initiator', 'responder'),
    mode: oneOf('ppk', 'psk', 'vendor'),
    ids: value => Array.isArray(value) && value.length === 2 && value.every(text(4_096)),
    epoch,
    committed,
  },
  welcome: { epoch },
  refusal: {
    code: oneOf('role-conflict', 'unknown-connection', 'mode-mismatch', 'identity-mismatch', 'wrong-peer'),
  },
  prepare: { epoch },
  prepared: { epoch },
  ready: { epoch, keyId },
  confirm: { epoch, keyId },
  confirmed: { epoch, keyId },
  commit: { epoch, keyId },
  committed: { epoch, keyId },
  stage: { epoch, stage },
  staged: { epoch, stage },
  failed: { epoch, reason: text(MAX_REASON_CHARS) },
  wanted: { reason: text(MAX_REASON_CHARS) },
}

/** True for bytes that begin as a message of an agent does; those of an agreement on a key begin otherwise. */
export function isPeerMessage(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7b
}

/** The message with its number in the channel: JSON. */
export function encodePeerMessage(message: PeerMessage, number: number): Buffer {
  const short = 'reason' in message ? { ...message, reason: message.reason.slice(0, MAX_REASON_CHARS) } : message
  return Buffer.from(JSON.stringify({ number, ...short }), 'utf8')
}

/**
 * The message and its number.
 * @throws {ProtocolError} the bytes are none, or say more or less than one does
 */
export function decodePeerMessage(bytes: Uint8Array): { number: number; message: PeerMessage } {
  if (bytes.byteLength > MAX_BYTES)
    throw new ProtocolError(`An agent's message of ${bytes.byteLength} bytes is too long`)
  const value = parse(bytes)
  const { number, type, ...rest } = value
  const fields =
    typeof type === 'string' && Object.hasOwn(FIELDS, type) ? FIELDS[type as PeerMessage['type']] : undefined
  if (fields === undefined || !epoch(number) || !fits(rest, fields)) {
    throw new ProtocolError("An agent's message has fields that do not fit")
  }
  return { number: number as number, message: { type, ...rest } as PeerMessage }
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw new ProtocolError("An agent's message is not readable")
}

function fits(value: unknown, fields: Readonly<Record<string, Check>>): boolean {
  if (typeof value !== 'object' || value === null) return false
  const names = Object.keys(fields)
  return (
    Object.keys(value).length === names.length &&
    names.every(name => Object.hasOwn(value, name) && fields[name]!((value as Record<string, unknown>)[name]))
  )
}
