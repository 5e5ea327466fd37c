import { X509Certificate } from 'node:crypto'
import { InvalidArgumentError } from '../errors.ts'
import { certificateIdentity } from '../util/certificate-identity.ts'
import { derValues } from '../util/der.ts'
import { ML_DSA_65_ALGORITHM, mlDsaSpki } from './ml-dsa-key.ts'
import { createMlDsa65 } from './post-quantum.ts'

/** Largest certificate that is looked at, in bytes. */
const MAX_CERTIFICATE_BYTES = 16_384

/**
 * An X.509 certificate with a key and a signature of ML-DSA-65 (RFC 9881). Node.js reads such certificates everywhere, but
 * verifies them only where its OpenSSL knows the algorithm: so the parts that are signed are taken apart here.
 */
export class MlDsaCertificate {
  /** DER. */
  readonly raw: Buffer
  readonly publicKey: Buffer
  readonly uris: readonly string[]
  readonly #x509: X509Certificate
  readonly #signedPart: Buffer
  readonly #signature: Buffer

  /** @throws {InvalidArgumentError} not an X.509 certificate of that kind */
  constructor(pemOrDer: string | Uint8Array) {
    try {
      if (pemOrDer.length > MAX_CERTIFICATE_BYTES) throw new Error('too long')
      this.#x509 = new X509Certificate(pemOrDer)
      this.raw = this.#x509.raw
      const [body, algorithm, bits] = derValues(derValues(this.raw)[0]!.content)
      const fields = derValues(body!.content)
      // Version, serial number, algorithm, issuer, validity, subject, public key.
      const spki = fields[6]!.whole
      const publicKey = derValues(fields[6]!.content)[1]!.content.subarray(1)
      const sameKind = [algorithm!.whole, fields[2]!.whole].every(one => one.equals(ML_DSA_65_ALGORITHM))
      if (!sameKind || !spki.equals(mlDsaSpki(publicKey))) throw new Error('another algorithm')
      this.publicKey = publicKey
      this.#signedPart = body!.whole
      this.#signature = bits!.content.subarray(1)
      this.uris = certificateIdentity(this.#x509).uriSans
    } catch (cause) {
      throw new InvalidArgumentError('Not an X.509 certificate with ML-DSA-65 (RFC 9881)', { cause })
    }
  }

  get isAuthority(): boolean {
    return this.#x509.ca
  }

  /** Why this certificate proves nothing at that moment, as signed by `authority`; undefined where all is well. */
  faultUnder(authority: MlDsaCertificate, atMs: number): string | undefined {
    if (!authority.isAuthority) return 'its issuer is no certificate authority'
    if (this.isAuthority) return 'it is that of a certificate authority, not of a site'
    if (this.#x509.issuer !== authority.#x509.subject) return 'another certificate authority issued it'
    const { publicKey } = authority
    if (!createMlDsa65().verify(publicKey, this.#signedPart, this.#signature, '')) {
      return 'its signature is not one of the trusted certificate authority'
    }
    return this.#faultOfTime(atMs) ?? authority.#faultOfTime(atMs)
  }

  #faultOfTime(atMs: number): string | undefined {
    const { validFrom, validTo } = this.#x509
    if (atMs < Date.parse(validFrom)) return `it is not valid before ${validFrom}`
    return atMs > Date.parse(validTo) ? `it has expired on ${validTo}` : undefined
  }
}
