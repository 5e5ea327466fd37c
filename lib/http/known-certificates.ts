import type { X509Certificate } from 'node:crypto'
import type { CertificateIdentity } from '../interface/http.ts'
import { certificateIdentity } from '../util/certificate-identity.ts'

/** Certificates that are remembered; the oldest goes first. */
const MAX_KNOWN = 1_024

/**
 * What certificates say, read once for each: a host connects again and again with the same one, and to take it apart costs
 * as much as many requests. That each was verified is the TLS layer's work, at every handshake.
 */
export class KnownCertificates {
  readonly #byFingerprint = new Map<string, CertificateIdentity>()

  identityOf(certificate: X509Certificate): CertificateIdentity {
    const { fingerprint256 } = certificate
    const known = this.#byFingerprint.get(fingerprint256)
    if (known !== undefined) return known
    if (this.#byFingerprint.size >= MAX_KNOWN) {
      this.#byFingerprint.delete(this.#byFingerprint.keys().next().value!)
    }
    const identity = certificateIdentity(certificate)
    this.#byFingerprint.set(fingerprint256, identity)
    return identity
  }
}
