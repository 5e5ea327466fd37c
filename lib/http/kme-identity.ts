import type { CertificateIdentity } from '../interface/http.ts'

/** Before a KME ID in a URI subject alternative name. */
const KME_URN = 'urn:qkdkit:kme:'

/** True if the certificate says that its holder is `kmeId`. */
export function isKmeCertificate({ commonName, dnsSans, uriSans }: CertificateIdentity, kmeId: string): boolean {
  if (commonName === kmeId || dnsSans.includes(kmeId) || uriSans.includes(kmeId)) return true
  return uriSans.includes(KME_URN + kmeId) || uriSans.includes(KME_URN + encodeURIComponent(kmeId))
}

/**
 * Throws unless the certificate says that its holder is `kmeId` (ETSI GS QKD 014 V1.1.1, clause 5.1: the SAE shall confirm
 * the KME ID; where it stands in the certificate is left open).
 */
export function requireKmeId(identity: CertificateIdentity, kmeId: string): void {
  if (isKmeCertificate(identity, kmeId)) return
  throw new Error(
    `The certificate of "${identity.commonName ?? identity.fingerprint256}" is not the one of KME "${kmeId}"`,
  )
}

/** Throws unless it is the certificate with that SHA-256, in lower-case hex without colons. */
export function requireFingerprint({ fingerprint256 }: CertificateIdentity, expected: string): void {
  if (fingerprint256 === expected) return
  throw new Error(`The certificate has the fingerprint ${fingerprint256}, not ${expected}`)
}
