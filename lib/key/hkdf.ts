import { hash as digest } from 'node:crypto'
import { InvalidArgumentError } from '../errors.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

export type HashName = 'sha256' | 'sha512'

const HASH_BYTES: Readonly<Record<HashName, number>> = { sha256: 32, sha512: 64 }
/** What a hash takes in at a time; HMAC pads its key to this (RFC 2104, section 2). */
const BLOCK_BYTES: Readonly<Record<HashName, number>> = { sha256: 64, sha512: 128 }
const NO_SALT = new Uint8Array(0)

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
export function hkdf(secret: SecretKey, { hash, salt = NO_SALT, info, sizeBytes }: HkdfOptions): SecretKey {
  const extracted = SecretKey.adopt(hmac(hash, salt, bytesOf(secret)))
  try {
    return hkdfExpand(extracted, { hash, info, sizeBytes })
  } finally {
    extracted.wipe()
  }
}

/** HKDF's second half alone (RFC 5869, section 2.3), for a key that is uniform already. The caller owns the result. */
export function hkdfExpand(key: SecretKey, { hash, info, sizeBytes }: Omit<HkdfOptions, 'salt'>): SecretKey {
  const hashBytes = HASH_BYTES[hash]
  if (sizeBytes > 255 * hashBytes) {
    throw new InvalidArgumentError(`HKDF gives at most ${255 * hashBytes} bytes, not ${sizeBytes}`)
  }
  const label = typeof info === 'string' ? Buffer.from(info, 'utf8') : info
  const derived = Buffer.allocUnsafeSlow(sizeBytes)
  let last: Buffer = Buffer.alloc(0)
  for (let at = 0; at < sizeBytes; at += hashBytes) {
    const input = Buffer.allocUnsafeSlow(last.byteLength + label.byteLength + 1)
    input.set(last)
    input.set(label, last.byteLength)
    input[input.byteLength - 1] = at / hashBytes + 1
    last.fill(0)
    last = hmac(hash, bytesOf(key), input)
    input.fill(0)
    last.copy(derived, at)
  }
  last.fill(0)
  return SecretKey.adopt(derived)
}

/** HMAC whose result is public: a tag that goes over the wire. */
export function hmacTag(hash: HashName, key: SecretKey, data: Uint8Array): Buffer {
  return hmac(hash, bytesOf(key), data)
}

/** HMAC whose result is itself a key. */
export function hmacKey(hash: HashName, key: SecretKey, data: Uint8Array): SecretKey {
  return SecretKey.adopt(hmacTag(hash, key, data))
}

/** Longest input for which the buffers of an HMAC are kept. */
const KEPT_INPUT_BYTES = 512
/** What goes into the inner hash, by length; wiped after each use. */
const innerBuffers = new Map<number, Uint8Array>()
const outerBuffers: Readonly<Record<HashName, Uint8Array>> = {
  sha256: new Uint8Array(BLOCK_BYTES.sha256 + HASH_BYTES.sha256),
  sha512: new Uint8Array(BLOCK_BYTES.sha512 + HASH_BYTES.sha512),
}

/**
 * HMAC (RFC 2104) by two hashes in one call each. node:crypto's own object is made for streams: with OpenSSL 3.5 it costs
 * five times as much to set up, and a key_ID or a TLS binder takes several. Nothing waits in here, so each length needs one
 * buffer, and that is kept: to allocate it took as long as to hash.
 */
function hmac(hash: HashName, key: Uint8Array, data: Uint8Array): Buffer {
  const blockBytes = BLOCK_BYTES[hash]
  const short = key.byteLength > blockBytes ? digest(hash, key, 'buffer') : key
  const keyBytes = short.byteLength
  const inner = innerBuffer(blockBytes + data.byteLength)
  const outer = outerBuffers[hash]
  for (let i = 0; i < keyBytes; i += 1) {
    inner[i] = short[i]! ^ 0x36
    outer[i] = short[i]! ^ 0x5c
  }
  inner.fill(0x36, keyBytes, blockBytes)
  outer.fill(0x5c, keyBytes, blockBytes)
  inner.set(data, blockBytes)
  const hashed = digest(hash, inner, 'buffer')
  outer.set(hashed, blockBytes)
  const result = digest(hash, outer, 'buffer')
  for (const bytes of [inner, outer, hashed]) bytes.fill(0)
  if (short !== key) short.fill(0)
  return result
}

function innerBuffer(sizeBytes: number): Uint8Array {
  const kept = innerBuffers.get(sizeBytes)
  if (kept !== undefined) return kept
  const fresh = new Uint8Array(sizeBytes)
  if (sizeBytes <= KEPT_INPUT_BYTES) innerBuffers.set(sizeBytes, fresh)
  return fresh
}
