import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, webcrypto } from 'node:crypto'
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

/**
 * The secret of a sealed record.
 * @throws {StoreError} the record was altered, or belongs to another key or context
 */
export function openSecret(key: SecretKey, sealed: Uint8Array, context: Uint8Array): SecretKey {
  if (sealed.byteLength <= SEAL_OVERHEAD_BYTES) throw new StoreError('A sealed record is cut short')
  const tagAt = sealed.byteLength - TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(bytesOf(key)), sealed.subarray(0, NONCE_BYTES))
  decipher.setAAD(context).setAuthTag(sealed.subarray(tagAt))
  const opened = Buffer.allocUnsafeSlow(tagAt - NONCE_BYTES)
  const part = decipher.update(sealed.subarray(NONCE_BYTES, tagAt))
  opened.set(part)
  part.fill(0)
  try {
    decipher.final()
  } catch (cause) {
    opened.fill(0)
    throw new StoreError('A sealed record does not open: it was altered, or sealed under another key', { cause })
  }
  return SecretKey.adopt(opened)
}

/**
 * The same for a whole block. `Decipher.update` gives a copy of what it has decrypted and frees that as it was: some
 * hundred keys in memory that nobody can wipe. This way Node hands over the very bytes.
 * @throws {StoreError} the record was altered, or belongs to another key or context
 */
export async function openBlock(key: SecretKey, sealed: Uint8Array, context: Uint8Array): Promise<SecretKey> {
  if (sealed.byteLength <= SEAL_OVERHEAD_BYTES) throw new StoreError('A sealed record is cut short')
  const { subtle } = webcrypto
  const imported = await subtle.importKey('raw', bytesOf(key), 'AES-GCM', false, ['decrypt'])
  const terms = {
    name: 'AES-GCM',
    iv: sealed.subarray(0, NONCE_BYTES),
    additionalData: context,
    tagLength: 8 * TAG_BYTES,
  }
  try {
    return SecretKey.adopt(new Uint8Array(await subtle.decrypt(terms, imported, sealed.subarray(NONCE_BYTES))))
  } catch (cause) {
    throw new StoreError('A sealed record does not open: it was altered, or sealed under another key', { cause })
  }
}
