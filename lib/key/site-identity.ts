import { InvalidArgumentError, UnauthorizedError } from '../errors.ts'
import { MlDsaCertificate } from './ml-dsa-certificate.ts'
import { mlDsaSeed } from './ml-dsa-key.ts'
import { createMlDsa65 } from './post-quantum.ts'
import type { SecretKey } from './secret-key.ts'

/** A site's certificate and key of ML-DSA-65 and the authority that all sites trust, as PEM text. */
export interface SiteIdentityFiles {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

/** How a certificate names a site. */
export function siteUri(siteId: string): string {
  return `urn:qkdkit:site:${siteId}`
}

/** Who a site is to other sites: signs with ML-DSA-65 under its certificate (X.509, RFC 9881), and checks what they signed. */
export class SiteIdentity {
  readonly #scheme = createMlDsa65()
  readonly #certificate: MlDsaCertificate
  readonly #authority: MlDsaCertificate
  readonly #seed: SecretKey
  readonly #now: () => number

  /** @throws {InvalidArgumentError} certificate, key and authority are not of ML-DSA-65, or do not belong together */
  constructor({ cert, key, ca }: SiteIdentityFiles, { now = Date.now }: { now?: () => number } = {}) {
    this.#certificate = new MlDsaCertificate(cert)
    this.#authority = new MlDsaCertificate(ca)
    this.#seed = mlDsaSeed(key)
    this.#now = now
    if (!this.#certificate.publicKey.equals(this.#scheme.publicKeyOf(this.#seed)))
      throw new InvalidArgumentError("The private key is not the one of the site's certificate")
  }

  /** The certificate as DER. */
  get certificate(): Buffer {
    return this.#certificate.raw
  }

  /** A signature that holds in this context alone. */
  sign(message: Uint8Array, context: string): Uint8Array {
    return this.#scheme.sign(this.#seed, message, context)
  }

  /** @throws {UnauthorizedError} it is not the signature of `siteId`, under a certificate that is valid now; says why */
  verify(
    siteId: string,
    proof: { certificate: Uint8Array; signature: Uint8Array },
    message: Uint8Array,
    context: string,
  ): void {
    const certificate = readCertificate(siteId, proof.certificate)
    const fault = certificate.faultUnder(this.#authority, this.#now())
    if (fault !== undefined) throw new UnauthorizedError(`The certificate of ${siteId} is of no use: ${fault}`)
    if (!certificate.uris.includes(siteUri(siteId)))
      throw new UnauthorizedError(`The certificate of ${siteId} does not name ${siteUri(siteId)}`)
    if (!this.#scheme.verify(certificate.publicKey, message, proof.signature, context))
      throw new UnauthorizedError(`The signature is not one of ${siteId}`)
  }

  wipe(): void {
    this.#seed.wipe()
  }
}

function readCertificate(siteId: string, der: Uint8Array): MlDsaCertificate {
  if (der.byteLength === 0) throw new UnauthorizedError(`${siteId} did not sign: its configuration has no mlDsa`)
  try {
    return new MlDsaCertificate(der)
  } catch (cause) {
    throw new UnauthorizedError(`${siteId} brought no certificate with ML-DSA-65`, { cause })
  }
}
