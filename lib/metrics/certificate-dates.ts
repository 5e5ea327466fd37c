import { X509Certificate } from 'node:crypto'
import type { Telemetry } from '../interface/telemetry.ts'
import { certificateIdentity } from '../util/certificate-identity.ts'

/** Certificates and authorities of a chain that are looked at. */
const MAX_CERTIFICATES = 32

/** PEM text of certificates in use, by what they are for. */
export type CertificatesInUse = Readonly<Record<string, string>>

/** Writes when each certificate ends, of a chain all of them. What is no certificate was refused before. */
export function reportCertificates(telemetry: Telemetry, certificates: CertificatesInUse): void {
  for (const [certificate, pem] of Object.entries(certificates)) {
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    for (const block of blocks.slice(0, MAX_CERTIFICATES)) {
      const x509 = parse(block)
      if (x509 === undefined) continue
      const subject = certificateIdentity(x509).commonName ?? x509.subject.replaceAll('\n', ', ')
      telemetry.gauge('certificate_expiry_ms', { certificate, subject }, Date.parse(x509.validTo))
    }
  }
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}
