import type { CertificateIdentity } from '../interface/http.ts'
import type { IdentitySource } from '../interface/sae-identity.ts'

/** Before an SAE ID in a URI subject alternative name, in certificates of our own make. */
const SAE_URN = 'urn:qkdkit:sae:'

/** Where names are looked for unless the configuration says otherwise: the surest first. */
export const SHIPPED_SOURCES: readonly IdentitySource[] = [
  { from: 'fingerprint' },
  { from: 'serial-number' },
  { from: 'uri-san', prefix: SAE_URN },
  { from: 'common-name' },
]

/** SAE IDs by what pins them to one certificate. */
export interface IdentityPins {
  readonly fingerprints: ReadonlyMap<string, string>
  /** By normal serial number. */
  readonly serials: ReadonlyMap<string, string>
}

/** The names of SAEs that a certificate has at one place; registered or not. */
export function namesIn(identity: CertificateIdentity, source: IdentitySource, pins: IdentityPins): string[] {
  switch (source.from) {
    case 'uri-san':
      return identity.uriSans.flatMap(uri => decode(after(source.prefix ?? SAE_URN, uri)))
    case 'dns-san':
      return identity.dnsSans.flatMap(name => before(source.suffix ?? '', name))
    case 'common-name':
      return list(identity.commonName)
    case 'serial-number':
      return list(pins.serials.get(normalSerial(identity.serialNumber)))
    case 'fingerprint':
      return list(pins.fingerprints.get(identity.fingerprint256))
    case 'header':
      return []
  }
}

/** A serial number as hex that has one spelling: without colons and leading zeros. */
export function normalSerial(serialNumber: string): string {
  return serialNumber
    .replaceAll(':', '')
    .replace(/^0+(?=.)/, '')
    .toLowerCase()
}

function after(prefix: string, text: string): string | undefined {
  return text.startsWith(prefix) ? text.slice(prefix.length) : undefined
}

function before(suffix: string, name: string): string[] {
  return name.toLowerCase().endsWith(suffix.toLowerCase()) ? list(name.slice(0, name.length - suffix.length)) : []
}

function decode(text: string | undefined): string[] {
  try {
    return list(text === undefined ? undefined : decodeURIComponent(text))
  } catch {
    return []
  }
}

function list(name: string | undefined): string[] {
  return name === undefined || name === '' ? [] : [name]
}
