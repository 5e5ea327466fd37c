import { timingSafeEqual } from 'node:crypto'
import { InvalidArgumentError } from '../errors.ts'
import { POLY1305_KEY_BYTES, poly1305 } from './poly1305.ts'
import { bytesOf, type SecretKey } from './secret-key.ts'

/** Bytes of key that a one-time tag takes. */
export const ONE_TIME_TAG_KEY_BYTES = POLY1305_KEY_BYTES
/** Length of a one-time tag. */
export const ONE_TIME_TAG_BYTES = 16

/**
 * `bytes` XOR as many bytes of key: encrypts, and decrypts with the same key at the other end. No computing power opens it,
 * as long as the pad is key of the level `one-time-pad` and used once; therefore it is wiped here. It hides and does not
 * authenticate: whoever changes the ciphertext changes the message, so tag it.
 * @throws {InvalidArgumentError} key and bytes differ in length; nothing was wiped
 */
export function oneTimePad(key: SecretKey, bytes: Uint8Array): Buffer {
  if (key.sizeBytes !== bytes.byteLength) {
    throw new InvalidArgumentError(`A pad of ${key.sizeBytes} bytes does not fit ${bytes.byteLength} bytes`)
  }
  const pad = bytesOf(key)
  const result = Buffer.allocUnsafeSlow(bytes.byteLength)
  for (let i = 0; i < bytes.byteLength; i += 1) result[i] = bytes[i]! ^ pad[i]!
  key.wipe()
  return result
}

/**
 * A tag that no computing power forges (Wegman and Carter 1981): Poly1305 over the parts one after the other, at a point
 * and under a pad that serve this one message (RFC 8439, section 2.5). Wipes the key, which has 32 bytes. Another message of
 * L bytes has the same tag with a probability of at most 8·⌈L/16⌉ in 2^106.
 * @throws {InvalidArgumentError} the key has another length; nothing was wiped
 */
export function oneTimeTag(key: SecretKey, parts: readonly Uint8Array[]): Buffer {
  if (key.sizeBytes !== ONE_TIME_TAG_KEY_BYTES) {
    throw new InvalidArgumentError(
      `A one-time tag takes a key of ${ONE_TIME_TAG_KEY_BYTES} bytes, not ${key.sizeBytes}`,
    )
  }
  const tag = poly1305(key, parts)
  key.wipe()
  return tag
}

/** Whether `tag` is the one-time tag of the parts. Wipes the key, whatever the answer. */
export function verifyOneTimeTag(key: SecretKey, parts: readonly Uint8Array[], tag: Uint8Array): boolean {
  const expected = oneTimeTag(key, parts)
  return expected.byteLength === tag.byteLength && timingSafeEqual(expected, tag)
}
