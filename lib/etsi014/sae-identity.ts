import type { CertificateIdentity } from '../interface/http.ts'

const SAE_URN = 'urn:qkdkit:sae:'

/** A host as the configuration names it. */
export interface RegisteredSae {
  readonly saeId: string
  /** SHA-256 of its certificate's DER, lower-case hex: where set, this certificate and no other. */
  readonly fingerprint256?: string
}

/**
 * The registered SAE that a verified certificate stands for (ETSI GS QKD 014 V1.1.1, clause 5.1, which leaves open where
 * in a certificate an SAE ID stands): by fingerprint, by a URI `urn:qkdkit:sae:<ID>`, by common name, in that order.
 */
export function saeIdentifier(saes: readonly RegisteredSae[]): (identity: CertificateIdentity) => string | undefined {
  const byId = new Map(saes.map(sae => [sae.saeId, sae]))
  const byFingerprint = new Map(
    saes.flatMap(({ saeId, fingerprint256 }) => (fingerprint256 ? [[fingerprint256, saeId]] : [])),
  )
  return ({ fingerprint256, uriSans, commonName }) => {
    const pinned = byFingerprint.get(fingerprint256)
    if (pinned !== undefined) return pinned
    const named = [
      ...uriSans.filter(uri => uri.startsWith(SAE_URN)).map(uri => decode(uri.slice(SAE_URN.length))),
      commonName,
    ]
    // An SAE with a pinned certificate is nobody else, whatever another certificate calls itself.
    return named.find(
      name => name !== undefined && byId.get(name) !== undefined && byId.get(name)?.fingerprint256 === undefined,
    )
  }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
