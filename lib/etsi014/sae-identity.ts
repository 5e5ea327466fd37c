import { UnauthorizedError } from '../errors.ts'
import type { CertificateIdentity, HttpRequest } from '../interface/http.ts'
import type { IdentitySource } from '../interface/sae-identity.ts'
import { namesIn, normalSerial, SHIPPED_SOURCES } from './identity-source.ts'
import { isTrustedProxy, saeBehindProxy } from './trusted-proxy.ts'

/** A host as the configuration names it. */
export interface RegisteredSae {
  readonly saeId: string
  /** SHA-256 of its certificate's DER, lower-case hex: where set, this certificate and no other. */
  readonly fingerprint256?: string
  /** Serial number of its certificate, hex: where set, certificates with this number and no other. */
  readonly serialNumber?: string
}

/** What is known of who sent a request. */
export type SaeCaller = Pick<HttpRequest, 'identity' | 'headers' | 'remoteAddress'>

/** The registered SAE that a caller is; throws `UnauthorizedError` with what is missing or ambiguous. */
export type SaeIdentifier = (caller: SaeCaller) => string

/**
 * Tells which registered SAE a caller is (ETSI GS QKD 014 V1.1.1, clause 5.1, which leaves open where in a certificate an
 * SAE ID stands). The first of `sources` that names a registered SAE decides; one that names two decides nothing.
 */
export function saeIdentifier(
  saes: readonly RegisteredSae[],
  sources: readonly IdentitySource[] = SHIPPED_SOURCES,
): SaeIdentifier {
  const registry = new Map(saes.map(sae => [sae.saeId, sae]))
  const pins = pinsOf(saes)
  const proxies = sources.filter(source => source.from === 'header')
  // A connection shows one certificate, and its holder makes many requests.
  const known = new WeakMap<CertificateIdentity, string>()

  /** An SAE with a pinned certificate is nobody else, whatever another certificate or a proxy says. */
  const isFree = (name: string) => {
    const sae = registry.get(name)
    return sae !== undefined && sae.fingerprint256 === undefined && sae.serialNumber === undefined
  }

  function ofCertificate(identity: CertificateIdentity): string {
    const claimed: string[] = []
    for (const source of sources) {
      const names = namesIn(identity, source, pins)
      const isPin = source.from === 'fingerprint' || source.from === 'serial-number'
      const meant = [...new Set(names)].filter(name => isPin || isFree(name))
      if (meant.length === 1) return meant[0]!
      if (meant.length > 1) {
        throw new UnauthorizedError(`The certificate names several registered SAEs (${source.from}): it may name one`)
      }
      claimed.push(...names)
    }
    const shown = claimed.length === 0 ? 'names no SAE' : `names "${claimed[0]!.slice(0, 64)}"`
    const looked = sources.map(({ from }) => from).join(', ')
    throw new UnauthorizedError(`The certificate is not that of a registered SAE: it ${shown} (looked at: ${looked})`)
  }

  return caller => {
    const proxy = proxies.find(source => isTrustedProxy(source, caller))
    if (proxy !== undefined) {
      const saeId = saeBehindProxy(proxy, caller)
      if (isFree(saeId)) return saeId
      throw new UnauthorizedError(`Header ${proxy.name} does not name an SAE that is registered without a certificate`)
    }
    const { identity } = caller
    if (identity === undefined) throw new UnauthorizedError('No client certificate was shown, or none that is trusted')
    const before = known.get(identity)
    if (before !== undefined) return before
    const saeId = ofCertificate(identity)
    known.set(identity, saeId)
    return saeId
  }
}

/** SAE IDs by what pins them. */
function pinsOf(saes: readonly RegisteredSae[]) {
  const fingerprints = new Map<string, string>()
  const serials = new Map<string, string>()
  for (const { saeId, fingerprint256, serialNumber } of saes) {
    if (fingerprint256 !== undefined) fingerprints.set(fingerprint256, saeId)
    if (serialNumber !== undefined) serials.set(normalSerial(serialNumber), saeId)
  }
  return { fingerprints, serials }
}
