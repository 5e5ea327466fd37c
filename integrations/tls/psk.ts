import { hkdf, PskHandshakeError, type SecretKey } from '../../lib/index.ts'
import type { PskIdentity } from './identity.ts'

/** Entropy that RFC 9257 asks for, and some: a key of one byte would be found from one recorded ClientHello. */
export const MIN_PSK_BYTES = 32
/** OpenSSL takes no longer one. */
const MAX_PSK_BYTES = 512

/**
 * How the pre-shared key comes from the key of the KMS. `role`: derived for this client, this server and this key_ID, so
 * that a reflected handshake fails. `raw`: the key itself, for a peer that is not ours (openssl, gnutls, stunnel).
 */
export type PskBinding = 'role' | 'raw'

/** The two ends of a handshake: the client is always the master SAE, the server the slave. */
export interface PskContext extends PskIdentity {
  readonly slaveSaeId: string
  readonly binding: PskBinding
}

/**
 * The pre-shared key of one handshake. Takes `secret` over: it is wiped, or given back as it is for `raw`. For `role` it
 * is HKDF-SHA256 (RFC 5869) without salt, 32 bytes, with the info
 * `qkdkit tls13-psk v1|client=<master SAE>|server=<slave SAE>|<key_ID>`; no field can hold a bar.
 * @throws {PskHandshakeError} the key is shorter than 32 bytes, or longer than OpenSSL takes
 */
export function derivePsk(secret: SecretKey, { binding, masterSaeId, slaveSaeId, keyId }: PskContext): SecretKey {
  const { sizeBytes } = secret
  if (sizeBytes < MIN_PSK_BYTES || (binding === 'raw' && sizeBytes > MAX_PSK_BYTES)) {
    secret.wipe()
    throw new PskHandshakeError(
      `The KMS gave a key of ${sizeBytes} bytes; a pre-shared key has ${MIN_PSK_BYTES} to ${MAX_PSK_BYTES}`,
    )
  }
  if (binding === 'raw') return secret
  const info = `qkdkit tls13-psk v1|client=${masterSaeId}|server=${slaveSaeId}|${keyId}`
  const psk = hkdf(secret, { hash: 'sha256', info, sizeBytes: MIN_PSK_BYTES })
  secret.wipe()
  return psk
}

/**
 * The bytes of a pre-shared key for as long as one handshake needs them. OpenSSL copies them each time it asks, and after
 * a HelloRetryRequest it asks twice: they live until `wipe()`, not until the first callback returns.
 */
export class LentPsk {
  readonly bytes: Buffer

  constructor(psk: SecretKey) {
    this.bytes = psk.expose('tls-psk', bytes => {
      const copy = Buffer.allocUnsafeSlow(bytes.byteLength)
      copy.set(bytes)
      return copy
    })
  }

  wipe(): void {
    this.bytes.fill(0)
  }
}
