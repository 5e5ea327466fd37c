import { constants } from 'node:crypto'
import { createSecureContext, type SecureContextOptions, type SecureVersion } from 'node:tls'
import { InvalidArgumentError } from '../errors.ts'
import { tlsGroups } from './tls-groups.ts'

/** What one end of mutual TLS shows and trusts. */
export interface TlsCredentials {
  /** Private key (PEM). Needed together with `cert`, unless `pfx` is given. */
  readonly key?: string | Buffer
  /** Certificate chain (PEM), the own certificate first. */
  readonly cert?: string | Buffer
  /** Certificate authorities that may have signed the other end (PEM). The system's own are never trusted. */
  readonly ca: string | Buffer | readonly (string | Buffer)[]
  /** Key and certificate in one PKCS#12 file, in place of `key` and `cert`; authorities in it are trusted too. */
  readonly pfx?: Buffer
  /** Passphrase of `pfx` or of `key`. */
  readonly passphrase?: string
}

/**
 * The options of node:tls for one end of mutual TLS, tried once so that a wrong file fails here and not at the first
 * connection. No session tickets: a resumed session would skip the certificates, and a full handshake is cheaper without.
 * @throws {InvalidArgumentError} a part is missing, is not PEM, or key and certificate don't belong together
 */
export function mutualTlsOptions(
  credentials: TlsCredentials,
  { minVersion, server }: { minVersion: SecureVersion; server: boolean },
): SecureContextOptions {
  const { key, cert, ca, pfx, passphrase } = credentials
  if (ca === undefined || ca.length === 0) {
    throw new InvalidArgumentError('ca must name the certificate authority that signed the other end')
  }
  if (pfx === undefined && (key === undefined || cert === undefined)) {
    throw new InvalidArgumentError('key and cert must both be given, or pfx in their place')
  }
  const options: SecureContextOptions = {
    key,
    cert,
    ca: Array.isArray(ca) ? [...ca] : (ca as string | Buffer),
    pfx,
    passphrase,
    minVersion,
    ecdhCurve: tlsGroups(),
    // A renegotiation could bring another certificate than the one that was looked at.
    secureOptions: constants.SSL_OP_NO_TICKET | (server ? constants.SSL_OP_NO_RENEGOTIATION : 0),
  }
  try {
    createSecureContext(options)
  } catch (error) {
    throw new InvalidArgumentError(
      'The TLS credentials are not usable: key and cert must be PEM and belong together, ca must be PEM',
      { cause: error },
    )
  }
  return options
}
