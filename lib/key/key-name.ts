import { createHmac } from 'node:crypto'
import { bytesOf, type SecretKey } from './secret-key.ts'

/** Length of a key's name, in bytes. */
export const KEY_NAME_BYTES = 4

/** A short name of a key of at least 256 random bits, which says nothing of it: what a record was sealed under. */
export function keyName(key: SecretKey): Buffer {
  return createHmac('sha256', bytesOf(key)).update('qkdkit/1 key name').digest().subarray(0, KEY_NAME_BYTES)
}
