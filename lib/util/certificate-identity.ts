import type { X509Certificate } from 'node:crypto'
import type { CertificateIdentity } from '../interface/http.ts'

/** What a certificate says of its holder. Verifying it is the TLS layer's work and comes first. */
export function certificateIdentity(certificate: X509Certificate): CertificateIdentity {
  const names = parseSubjectAltName(certificate.subjectAltName ?? '')
  return {
    commonName: parseCommonName(certificate.subject),
    uriSans: names.filter(([kind]) => kind === 'URI').map(([, value]) => value),
    dnsSans: names.filter(([kind]) => kind === 'DNS').map(([, value]) => value),
    fingerprint256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    serialNumber: certificate.serialNumber,
  }
}

/** The one CN of a subject as Node prints it; undefined with none, or with several, of which none is *the* name. */
function parseCommonName(subject: string | undefined): string | undefined {
  // A line break inside a value is printed as \0A and a plus sign as \+, so neither can forge a second attribute.
  const names = (subject ?? '')
    .split('\n')
    .flatMap(line => line.split(' + '))
    .filter(attribute => attribute.startsWith('CN='))
    .map(attribute => unescapeRfc2253(attribute.slice(3)))
  return names.length === 1 ? names[0] : undefined
}

function unescapeRfc2253(value: string): string {
  if (!value.includes('\\')) return value
  return value.replace(/\\([0-9A-F]{2})|\\(.)/g, (_, hex: string | undefined, char: string | undefined) =>
    hex === undefined ? (char ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

/** `KIND:value` pairs. Node quotes (as JSON) each value in which a comma could pass for the end of the entry. */
function parseSubjectAltName(text: string): [kind: string, value: string][] {
  const entry = /([^:,]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy
  return [...text.matchAll(entry)].map(([, kind = '', value = '']) => [
    kind,
    value.startsWith('"') ? JSON.parse(value) : value,
  ])
}
