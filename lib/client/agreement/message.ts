import { ProtocolError } from '../../errors.ts'
import type { SecurityLevel } from '../../interface/kms.ts'
import { ByteReader, ByteWriter } from '../../util/bytes.ts'
import { requireSaeId } from '../../util/kms-arguments.ts'
import type { AgreementRefusal } from './outcome.ts'
import { MAX_SIZE_BITS, MIN_SIZE_BITS, PURPOSE } from './terms.ts'

/*
 * On the wire: `qka1`, the type in one byte, the number of the agreement (32 random bytes of the initiator, which are its
 * nonce as well), then the fields of the type in the order of its interface. Text stands behind its length in two bytes;
 * levels and refusals are their place in the lists below, levels from 1 on, with 0 for unknown.
 */
const MAGIC = Buffer.from('qka1')
/** Length of nonces and proofs. */
export const NONCE_BYTES = 32
/** More than any message has; what is longer is not looked at. */
const MAX_BYTES = 4_096
/** A UUID from our KMS; another vendor's may be another printable word. */
const KEY_ID = /^[\x21-\x7e]{1,128}$/

const LEVELS: readonly SecurityLevel[] = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const REFUSALS: readonly AgreementRefusal[] = [
  'wrong-names',
  'wrong-purpose',
  'wrong-level',
  'wrong-key',
  'wrong-proof',
  'wrong-message',
  'kms-refused',
  'kms-failed',
  'busy',
  'timed-out',
  'cancelled',
]

/** The initiator asks for an agreement. No key has been taken yet. */
export interface OfferMessage {
  readonly type: 'offer'
  readonly agreementId: Uint8Array
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly purpose: string
  readonly sizeBits: number
  /** The level that it will ask for; undefined where it leaves that to the policy. */
  readonly level: SecurityLevel | undefined
}

/** The responder is there and takes the terms. */
export interface ReadyMessage {
  readonly type: 'ready'
  readonly agreementId: Uint8Array
  readonly nonce: Uint8Array
}

/** The initiator has a key and says which; the responder takes the same one. */
export interface SelectionMessage {
  readonly type: 'selection'
  readonly agreementId: Uint8Array
  readonly keyId: string
  /** The level that its KMS gave the key; undefined where that does not say. */
  readonly level: SecurityLevel | undefined
  readonly proof: Uint8Array
}

/** The responder has the same key. */
export interface ConfirmationMessage {
  readonly type: 'confirmation'
  readonly agreementId: Uint8Array
  readonly proof: Uint8Array
}

/** Either end gives up. */
export interface RefusalMessage {
  readonly type: 'refusal'
  readonly agreementId: Uint8Array
  readonly code: AgreementRefusal
}

/** Everything that one end of an agreement says to the other. */
export type AgreementMessage = OfferMessage | ReadyMessage | SelectionMessage | ConfirmationMessage | RefusalMessage

const TYPES: readonly AgreementMessage['type'][] = ['offer', 'ready', 'selection', 'confirmation', 'refusal']

/** The message as it goes over the channel. */
export function encodeMessage(message: AgreementMessage): Buffer {
  const writer = new ByteWriter()
    .raw(MAGIC)
    .u8(TYPES.indexOf(message.type) + 1)
    .raw(message.agreementId)
  switch (message.type) {
    case 'offer':
      writer.field(message.masterSaeId).field(message.slaveSaeId).field(message.purpose).u32(message.sizeBits)
      return writer.u8(numberOf(message.level)).bytes()
    case 'ready':
      return writer.raw(message.nonce).bytes()
    case 'selection':
      return writer.field(message.keyId).u8(numberOf(message.level)).raw(message.proof).bytes()
    case 'confirmation':
      return writer.raw(message.proof).bytes()
    case 'refusal':
      return writer.u8(REFUSALS.indexOf(message.code) + 1).bytes()
  }
}

/**
 * The one message that `bytes` spell; two spellings of a message do not exist.
 * @throws {ProtocolError} they spell none
 */
export function decodeMessage(bytes: Uint8Array): AgreementMessage {
  if (bytes.byteLength > MAX_BYTES) throw new ProtocolError(`A message of ${bytes.byteLength} bytes is no agreement's`)
  const reader = new ByteReader(bytes)
  if (!reader.raw(MAGIC.byteLength).equals(MAGIC)) throw new ProtocolError('This is no message of an agreement')
  const type = oneOf(TYPES, reader.u8())
  const message = readBody(type, Uint8Array.from(reader.raw(NONCE_BYTES)), reader)
  reader.end()
  return message
}

function readBody(type: AgreementMessage['type'], agreementId: Uint8Array, reader: ByteReader): AgreementMessage {
  switch (type) {
    case 'offer': {
      const [masterSaeId, slaveSaeId] = [saeId(reader), saeId(reader)]
      const purpose = matching(PURPOSE, text(reader))
      const sizeBits = reader.u32()
      if (sizeBits < MIN_SIZE_BITS || sizeBits > MAX_SIZE_BITS || sizeBits % 8 !== 0) throw outOfRange()
      return { type, agreementId, masterSaeId, slaveSaeId, purpose, sizeBits, level: level(reader) }
    }
    case 'ready':
      return { type, agreementId, nonce: Uint8Array.from(reader.raw(NONCE_BYTES)) }
    case 'selection': {
      const keyId = matching(KEY_ID, text(reader))
      return { type, agreementId, keyId, level: level(reader), proof: Uint8Array.from(reader.raw(NONCE_BYTES)) }
    }
    case 'confirmation':
      return { type, agreementId, proof: Uint8Array.from(reader.raw(NONCE_BYTES)) }
    case 'refusal':
      return { type, agreementId, code: oneOf(REFUSALS, reader.u8()) }
  }
}

function numberOf(value: SecurityLevel | undefined): number {
  return value === undefined ? 0 : LEVELS.indexOf(value) + 1
}

function level(reader: ByteReader): SecurityLevel | undefined {
  const number = reader.u8()
  return number === 0 ? undefined : oneOf(LEVELS, number)
}

function oneOf<T>(list: readonly T[], number: number): T {
  const value = list[number - 1]
  if (value === undefined) throw outOfRange()
  return value
}

/** Strict: what is no UTF-8 would otherwise be read as something else than what was sent. */
function text(reader: ByteReader): string {
  const field = reader.field()
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(field)
  } catch (cause) {
    throw new ProtocolError('A text in the message is not UTF-8', { cause })
  }
}

function saeId(reader: ByteReader): string {
  try {
    return requireSaeId('The SAE ID in the message', text(reader))
  } catch (cause) {
    throw new ProtocolError((cause as Error).message, { cause })
  }
}

function matching(pattern: RegExp, value: string): string {
  if (!pattern.test(value)) throw outOfRange()
  return value
}

function outOfRange(): ProtocolError {
  return new ProtocolError('A field of the message is out of range')
}
