import { InvalidArgumentError, UnauthorizedError } from '../../../errors.ts'
import { MlDsaCertificate } from '../../../key/ml-dsa-certificate.ts'
import { mlDsaSeed } from '../../../key/ml-dsa-key.ts'
import { createMlDsa65 } from '../../../key/post-quantum.ts'
import type { SecretKey } from '../../../key/secret-key.ts'
import { siteUri } from '../../../key/site-identity.ts'
import type { SignatureKeys } from './authenticator.ts'

/** Keeps these signatures apart from all others that the same key may make. */
const CONTEXT = 'qkdkit/1 bb84 first round'
const LENGTH_BYTES = 2

/** This site's certificate and key of ML-DSA-65 and the authority that both sites trust, as PEM text. */
export interface LinkIdentity {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

/** What `CertifiedKeys` is made from. */
export interface CertifiedKeysOptions {
  readonly identity: LinkIdentity
  /** The site at the other end: its certificate must have `siteUri` of it. */
  readonly remoteSiteId: string
  /** Default `Date.now`. */
  readonly now?: () => number
}

/**
 * Signatures of the first round under X.509 certificates with ML-DSA-65. Each signature brings its certificate along, which
 * must be issued by the trusted authority, be valid now, and name the site that is expected at the other end.
 */
export class CertifiedKeys implements SignatureKeys {
  readonly #scheme = createMlDsa65()
  readonly #certificate: MlDsaCertificate
  readonly #authority: MlDsaCertificate
  readonly #seed: SecretKey
  readonly #peerUri: string
  readonly #now: () => number

  /** @throws {InvalidArgumentError} certificate, key and authority are not of ML-DSA-65, or do not belong together */
  constructor({ identity, remoteSiteId, now = Date.now }: CertifiedKeysOptions) {
    this.#certificate = new MlDsaCertificate(identity.cert)
    this.#authority = new MlDsaCertificate(identity.ca)
    this.#seed = mlDsaSeed(identity.key)
    this.#peerUri = siteUri(remoteSiteId)
    this.#now = now
    if (!this.#certificate.publicKey.equals(this.#scheme.publicKeyOf(this.#seed))) {
      throw new InvalidArgumentError("The private key is not the one of the link's certificate")
    }
  }

  async sign(message: Uint8Array): Promise<Uint8Array> {
    const { raw } = this.#certificate
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt16BE(raw.byteLength)
    return Buffer.concat([length, raw, this.#scheme.sign(this.#seed, message, CONTEXT)])
  }

  /** @throws {UnauthorizedError} the certificate that came along is wrong; it says in which way */
  async verify(message: Uint8Array, proof: Uint8Array): Promise<boolean> {
    const { certificate, signature } = split(proof)
    const fault = certificate.faultUnder(this.#authority, this.#now())
    if (fault !== undefined) throw new UnauthorizedError(`The certificate of the other end is of no use: ${fault}`)
    if (!certificate.uris.includes(this.#peerUri)) {
      throw new UnauthorizedError(`The certificate of the other end does not name ${this.#peerUri}`)
    }
    return this.#scheme.verify(certificate.publicKey, message, signature, CONTEXT)
  }
}

function split(proof: Uint8Array): { certificate: MlDsaCertificate; signature: Uint8Array } {
  const bytes = Buffer.from(proof.buffer, proof.byteOffset, proof.byteLength)
  const size = bytes.byteLength < LENGTH_BYTES ? 0 : bytes.readUInt16BE(0)
  const end = LENGTH_BYTES + size
  try {
    return { certificate: new MlDsaCertificate(bytes.subarray(LENGTH_BYTES, end)), signature: bytes.subarray(end) }
  } catch (cause) {
    throw new UnauthorizedError('The other end brought no certificate with ML-DSA-65', { cause })
  }
}
