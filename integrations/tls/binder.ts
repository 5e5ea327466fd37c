import { hash, timingSafeEqual } from 'node:crypto'
import { hkdf, hmacKey, hmacTag, type SecretKey } from '../../lib/index.ts'

const HASH_BYTES = 32
const BINDER_LABEL = hkdfLabel('ext binder', hash('sha256', '', 'buffer'))
/** With the block number that HKDF-Expand puts behind it. */
const FINISHED_INFO = Buffer.concat([hkdfLabel('finished', Buffer.alloc(0)), Uint8Array.of(1)])
const NO_SALT = new Uint8Array(HASH_BYTES)

/**
 * Whether `binder` proves that the client holds `psk` (RFC 8446, section 4.2.11.2). Checked ahead of OpenSSL, so that a
 * guess that carries no proof spends no key and looks like an unknown identity.
 */
export function binderMatches(psk: SecretKey, truncatedHello: Uint8Array, binder: Uint8Array): boolean {
  // Early Secret and binder_key are one extract-and-expand: HKDF-Extract(0, PSK), then Derive-Secret(., "ext binder", "").
  using binderKey = hkdf(psk, {
    hash: 'sha256',
    salt: NO_SALT,
    info: BINDER_LABEL,
    sizeBytes: HASH_BYTES,
  })
  // HKDF-Expand of exactly one hash is one HMAC over the label and the block number 1 (RFC 5869, section 2.3).
  using finishedKey = hmacKey('sha256', binderKey, FINISHED_INFO)
  const expected = hmacTag('sha256', finishedKey, hash('sha256', truncatedHello, 'buffer'))
  return expected.byteLength === binder.byteLength && timingSafeEqual(expected, binder)
}

/** The HkdfLabel structure (RFC 8446, section 7.1) for an output of one hash. */
function hkdfLabel(label: string, context: Buffer): Buffer {
  const name = Buffer.from(`tls13 ${label}`, 'ascii')
  return Buffer.concat([
    Uint8Array.of(0, HASH_BYTES, name.byteLength),
    name,
    Uint8Array.of(context.byteLength),
    context,
  ])
}
