import { hkdf, type SecretKey } from '../../lib/index.ts'
import type { PskIdentity } from './identity.ts'
import { HandshakeRefusal } from './refusal.ts'

/** Entropy that RFC 9257 asks for, and some: a key of one byte would be found from one recorded ClientHello. */
export const MIN_PSK_BYTES = 32
/** OpenSSL takes no longer one. */
const MAX_PSK_BYTES = 512

/**
 * How the pre-shared key comes from the key of the KMS. `role`: derived for this client, this server and this key_ID, so
 * that a reflected handshake fails. `raw`: the key itself, for a peer that is not ours (openssl, gnutls, stunnel).
 */
export type PskBinding = 'role' | 'raw'

/** Which protocol a key is derived for: the same key in both would be one that was made for neither (RFC 8446, E.7). */
type PskProtocol = 'tls12' | 'tls13'

/** The two ends of a handshake: the client is always the master SAE, the server the slave. */
export interface PskContext extends PskIdentity {
  readonly slaveSaeId: string
  readonly binding: PskBinding
}

/**
 * The pre-shared key of one handshake. Takes `secret` over: it is wiped, or given back as it is for `raw`. For `role` it
 * is HKDF-SHA256 (RFC 5869) without salt, 32 bytes, with the info
 * `qkdkit tls13-psk v1|client=<master SAE>|server=<slave SAE>|<key_ID>`; no field can hold a bar.
 * @throws {HandshakeRefusal} the key is shorter than 32 bytes, or longer than OpenSSL takes
 */
export function derivePsk(secret: SecretKey, context: PskContext): SecretKey {
  requireSize(secret, context)
  if (context.binding === 'raw') return secret
  const psk = expand(secret, 'tls13', context)
  secret.wipe()
  return psk
}

/** The pre-shared keys of one handshake that may end in either version; only then it shows which one it takes. */
export interface DerivedPsks {
  readonly psk: SecretKey
  /** For TLS 1.2; undefined where it is not taken. Of `raw` keys it is the same object. */
  readonly tls12Psk?: SecretKey | undefined
}

/**
 * The same for the versions from `minVersion` on. The info of the key for TLS 1.2 begins with `qkdkit tls12-psk v1`.
 * @throws {HandshakeRefusal} the key is shorter than 32 bytes, or longer than OpenSSL takes
 */
export function derivePsks(secret: SecretKey, context: PskContext, minVersion: 'TLSv1.2' | 'TLSv1.3'): DerivedPsks {
  requireSize(secret, context)
  if (minVersion === 'TLSv1.3') return { psk: derivePsk(secret, context), tls12Psk: undefined }
  const tls12Psk = context.binding === 'raw' ? secret : expand(secret, 'tls12', context)
  return { psk: derivePsk(secret, context), tls12Psk }
}

function requireSize(secret: SecretKey, { binding }: PskContext): void {
  const { sizeBytes } = secret
  if (sizeBytes < MIN_PSK_BYTES || (binding === 'raw' && sizeBytes > MAX_PSK_BYTES)) {
    secret.wipe()
    throw new HandshakeRefusal(
      'short-key',
      `The KMS gave a key of ${sizeBytes} bytes; a pre-shared key has ${MIN_PSK_BYTES} to ${MAX_PSK_BYTES}`,
    )
  }
}

function expand(secret: SecretKey, protocol: PskProtocol, { masterSaeId, slaveSaeId, keyId }: PskContext): SecretKey {
  const info = `qkdkit ${protocol}-psk v1|client=${masterSaeId}|server=${slaveSaeId}|${keyId}`
  return hkdf(secret, { hash: 'sha256', info, sizeBytes: MIN_PSK_BYTES })
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
