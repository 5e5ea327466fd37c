import { createHmac, hkdfSync } from 'node:crypto'
import { bytesOf, SecretKey } from './secret-key.ts'

export type HashName = 'sha256' | 'sha512'

/** Options of `hkdf`. */
export interface HkdfOptions {
  hash: HashName
  /** Default empty. */
  salt?: Uint8Array
  /** Binds the result to its use; no two uses share one. */
  info: string | Uint8Array
  /** Length of the derived key in bytes, up to 255 hashes. */
  sizeBytes: number
}

/** HKDF, extract and expand (RFC 5869). The caller owns the derived key. */
export function hkdf(secret: SecretKey, { hash, salt = new Uint8Array(0), info, sizeBytes }: HkdfOptions): SecretKey {
  return SecretKey.adopt(new Uint8Array(hkdfSync(hash, bytesOf(secret), salt, info, sizeBytes)))
}

/** HMAC whose result is public: a tag that goes over the wire. */
export function hmacTag(hash: HashName, key: SecretKey, data: Uint8Array): Buffer {
  return createHmac(hash, bytesOf(key)).update(data).digest()
}

/** HMAC whose result is itself a key. */
export function hmacKey(hash: HashName, key: SecretKey, data: Uint8Array): SecretKey {
  return SecretKey.adopt(hmacTag(hash, key, data))
}
