import type { CertificateIdentity } from '../interface/http.ts'
import type { OperatorIdentity, OperatorRole } from '../interface/operator.ts'

/** Somebody who looks after a site, and the certificate they are known by. */
export interface OperatorEntry {
  /** What the audit log calls them. */
  readonly name: string
  readonly roles: readonly OperatorRole[]
  readonly certificate: OperatorCertificate
}

/** Which certificate it is: this one, by its SHA-256; or any of a trusted authority with that name. */
export type OperatorCertificate =
  | { readonly fingerprint256: string }
  | { readonly commonName: string }
  | { readonly uri: string }

/** The people that a configuration names. Who is not among them has no role, and so no call. */
export class OperatorBook {
  readonly #entries: readonly OperatorEntry[]

  constructor(entries: readonly OperatorEntry[]) {
    this.#entries = entries
  }

  /** Who shows this certificate, which TLS has verified. One that several entries name has the roles of all of them. */
  identify(certificate: CertificateIdentity | undefined): OperatorIdentity {
    if (certificate === undefined) return { name: 'nobody', roles: [], by: 'certificate' }
    const found = this.#entries.filter(entry => isHis(entry.certificate, certificate))
    const roles = [...new Set(found.flatMap(entry => entry.roles))]
    const name = found[0]?.name ?? certificate.commonName ?? certificate.fingerprint256
    return { name, roles, by: 'certificate' }
  }
}

function isHis(entry: OperatorCertificate, { fingerprint256, commonName, uriSans }: CertificateIdentity): boolean {
  if ('fingerprint256' in entry) return entry.fingerprint256 === fingerprint256
  if ('commonName' in entry) return entry.commonName === commonName
  return uriSans.includes(entry.uri)
}
