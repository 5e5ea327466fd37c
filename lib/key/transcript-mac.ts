import { createHmac } from 'node:crypto'
import { bytesOf, type SecretKey } from './secret-key.ts'

/** HMAC-SHA-512 of what was said, or of its digest, under a key that both sides share; the key stays the caller's. */
export function transcriptMac(secret: SecretKey, digest: Uint8Array): Buffer {
  return createHmac('sha512', bytesOf(secret)).update(digest).digest()
}
