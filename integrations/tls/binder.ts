import { createHash, timingSafeEqual } from 'node:crypto'
import { hkdf, hmacKey, hmacTag, type SecretKey } from '../../lib/index.ts'

const HASH_BYTES = 32
const BINDER_LABEL = hkdfLabel('ext binder', createHash('sha256').digest())
const FINISHED_LABEL = hkdfLabel('finished', Buffer.alloc(0))

/**
 * Whether `binder` proves that the client holds `psk` (RFC 8446, section 4.2.11.2). Checked ahead of OpenSSL, so that a
 * guess that carries no proof spends no key and looks like an unknown identity.
 */
export function binderMatches(psk: SecretKey, truncatedHello: Uint8Array, binder: Uint8Array): boolean {
  // Early Secret and binder_key are one extract-and-expand: HKDF-Extract(0, PSK), then Derive-Secret(., "ext binder", "").
  using binderKey = hkdf(psk, {
    hash: 'sha256',
    salt: new Uint8Array(HASH_BYTES),
    info: BINDER_LABEL,
    sizeBytes: HASH_BYTES,
  })
  // HKDF-Expand of exactly one hash is one HMAC over the label and the block number 1 (RFC 5869, section 2.3).
  using finishedKey = hmacKey('sha256', binderKey, Buffer.concat([FINISHED_LABEL, Uint8Array.of(1)]))
  const expected = hmacTag('sha256', finishedKey, createHash('sha256').update(truncatedHello).digest())
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
