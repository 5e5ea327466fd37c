import { createCertificateAuthority, issueCertificate } from '../../lib/pki.ts'

/** PEM text as the TLS options take it. */
export interface TestCredentials {
  readonly key: string
  readonly cert: string
  readonly ca: string
}

/** A certificate authority that tests may sign with; each call makes another one. */
export function createTestAuthority(commonName = 'Test CA'): {
  readonly ca: string
  /** Its private key (PEM). */
  readonly caKey: string
  /** Certificate of a host or KME by that name, good for both roles and for the loopback addresses. */
  issue(commonName: string, options?: { uriSans?: string[]; loopback?: boolean }): TestCredentials
} {
  const authority = createCertificateAuthority({ commonName, days: 2 })
  return {
    ca: authority.certificatePem,
    caKey: authority.privateKeyPem,
    issue: (name, { uriSans = [], loopback = true } = {}) => {
      const names = loopback ? { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1', '::1'] } : {}
      const pair = issueCertificate(authority, { commonName: name, uriSans, usage: 'both', days: 2, ...names })
      return { key: pair.privateKeyPem, cert: pair.certificatePem, ca: authority.certificatePem }
    },
  }
}
