import { X509Certificate } from 'node:crypto'
import { expect } from 'chai'
import { createCertificateAuthority, issueCertificate } from '../../lib/pki.ts'
import { certificateIdentity } from '../../lib/util/certificate-identity.ts'

const authority = createCertificateAuthority({ commonName: 'Test CA', days: 1 })

function identityOf(commonName: string, uriSans: string[] = [], dnsNames: string[] = []) {
  const { certificatePem } = issueCertificate(authority, { commonName, uriSans, dnsNames, usage: 'client', days: 1 })
  const certificate = new X509Certificate(certificatePem)
  return { identity: certificateIdentity(certificate), certificate }
}

describe('certificateIdentity', () => {
  it('reads names, fingerprint and serial number', () => {
    const { identity, certificate } = identityOf('sae-1', ['urn:qkdkit:sae:sae-1', 'urn:x'], ['a.example', 'b.example'])
    expect(identity.commonName).to.equal('sae-1')
    expect(identity.uriSans).to.deep.equal(['urn:qkdkit:sae:sae-1', 'urn:x'])
    expect(identity.dnsSans).to.deep.equal(['a.example', 'b.example'])
    expect(identity.fingerprint256).to.match(/^[0-9a-f]{64}$/)
    expect(identity.serialNumber).to.equal(certificate.serialNumber)
  })

  it('reads a common name with characters that are escaped where Node prints it', () => {
    const names = ['a, b+c', 'CN=x', 'a\nCN=sae-1', 'a + CN=sae-1', '#x', ' x ', 'ü "q" \\ ; < >', 'a\\2Cb', 'sae-1\0']
    for (const name of names) expect(identityOf(name).identity.commonName).to.equal(name)
  })

  it('takes no entry for two, whatever stands in it', () => {
    const uris = ['urn:x,URI:urn:qkdkit:sae:sae-1', 'urn:"quoted"', "urn:x',DNS:evil.example"]
    const { identity } = identityOf('sae-1', uris)
    expect(identity.uriSans).to.deep.equal(uris)
    expect(identity.dnsSans).to.deep.equal([])
  })
})
