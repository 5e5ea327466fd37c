import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { StoreError } from '../errors.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** How many bytes longer the sealed form is than the secret. */
export const SEAL_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES

/**
 * A secret encrypted and authenticated for rest: nonce, AES-256-GCM ciphertext, tag. `context` is what the opener must
 * know as well, so that a record put in another's place does not open.
 */
export function sealSecret(key: SecretKey, secret: SecretKey, context: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', createSecretKey(bytesOf(key)), nonce).setAAD(context)
  return Buffer.concat([nonce, cipher.update(bytesOf(secret)), cipher.final(), cipher.getAuthTag()])
}

/** What is decrypted at a time. */
const PIECE_BYTES = 128

/**
 * The secret of a sealed record. `Decipher.update` frees a copy of what it has decrypted as it was: in small pieces the next one
 * takes the same place, where a whole block left some hundred keys in memory that nobody can wipe. WebCrypto, which hands over the
 * very bytes, ends the process on Node 20 where an error of somebody else's TLS is left over in OpenSSL's queue.
 * @throws {StoreError} the record was altered, or belongs to another key or context
 */
export function openSecret(key: SecretKey, sealed: Uint8Array, context: Uint8Array): SecretKey {
  if (sealed.byteLength <= SEAL_OVERHEAD_BYTES) throw new StoreError('A sealed record is cut short')
  const tagAt = sealed.byteLength - TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(bytesOf(key)), sealed.subarray(0, NONCE_BYTES))
  decipher.setAAD(context).setAuthTag(sealed.subarray(tagAt))
  const opened = Buffer.allocUnsafeSlow(tagAt - NONCE_BYTES)
  for (let at = NONCE_BYTES; at < tagAt; at += PIECE_BYTES) {
    const piece = decipher.update(sealed.subarray(at, Math.min(at + PIECE_BYTES, tagAt)))
    opened.set(piece, at - NONCE_BYTES)
    piece.fill(0)
  }
  try {
    decipher.final()
  } catch (cause) {
    opened.fill(0)
    throw new StoreError('A sealed record does not open: it was altered, or sealed under another key', { cause })
  }
  return SecretKey.adopt(opened)
}
