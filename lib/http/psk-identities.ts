import { randomBytes } from 'node:crypto'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { InvalidArgumentError } from '../errors.ts'

/** A pre-shared key by which callers without a certificate are known. */
export interface PskCredential {
  /** The PSK identity that the caller sends in clear. */
  readonly identity: string
  /** At least 16 bytes; 32 are right. */
  readonly key: Buffer
}

const MIN_KEY_BYTES = 16

/**
 * Certificates on TLS 1.3 and 1.2, pre-shared keys with ephemeral Diffie-Hellman on TLS 1.2, which go first: who offers them
 * has one and may have no certificate. TLS 1.3 has the one suite with which OpenSSL can't take an external pre-shared key,
 * so that there nobody comes in but by certificate.
 */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-AES256-CBC-SHA384',
  'DHE-PSK-AES256-CBC-SHA',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':')

/** Callers known by pre-shared keys, for one TLS server. */
export class PskIdentities {
  readonly #keys: ReadonlyMap<string, Buffer>
  readonly #claimed = new WeakMap<TLSSocket, string>()

  /** @throws {InvalidArgumentError} an identity stands twice, or a key is too short */
  constructor(credentials: readonly PskCredential[]) {
    const keys = new Map<string, Buffer>()
    for (const { identity, key } of credentials) {
      if (keys.has(identity)) throw new InvalidArgumentError(`PSK identity ${identity} stands twice`)
      if (key.byteLength < MIN_KEY_BYTES) {
        throw new InvalidArgumentError(`The pre-shared key of ${identity} has less than ${MIN_KEY_BYTES} bytes`)
      }
      keys.set(identity, key)
    }
    this.#keys = keys
  }

  /** What node:tls needs to know of them. */
  get tlsOptions(): Pick<TlsOptions, 'ciphers' | 'dhparam' | 'pskCallback'> {
    return {
      ciphers: CIPHERS,
      dhparam: 'auto' as unknown as Buffer,
      pskCallback: (socket, identity) => {
        this.#claimed.set(socket, identity)
        // An unknown identity fails as a wrong key does: nobody learns which there are.
        return this.#keys.get(identity) ?? randomBytes(32)
      },
    }
  }

  /** The identity under whose key this connection stands; undefined for one with a certificate. */
  identityOf(socket: TLSSocket): string | undefined {
    // Whoever sends an identity and then shows a certificate has proven the certificate alone.
    if (!/^DHE-PSK-/.test(socket.getCipher().name)) return undefined
    return this.#claimed.get(socket)
  }
}
