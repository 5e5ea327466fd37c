import { createPrivateKey, X509Certificate } from 'node:crypto'
import { expect } from 'chai'
import { MlDsaCertificate } from '../../lib/key/ml-dsa-certificate.ts'
import { createMlDsaAuthority, issueMlDsaCertificate } from '../../lib/key/ml-dsa-issue.ts'
import { mlDsaKeyPem, mlDsaSeed } from '../../lib/key/ml-dsa-key.ts'
import { nativeMlDsa65 } from '../../lib/key/post-quantum.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'

const DAY_MS = 86_400_000

describe('MlDsaCertificate', () => {
  const ca = createMlDsaAuthority({ commonName: 'Test CA', days: 10 })
  const site = issueMlDsaCertificate(ca, { commonName: 'site-a', uris: ['urn:qkdkit:site:site-a'], days: 5 })
  const authority = new MlDsaCertificate(ca.certificatePem)
  const certificate = new MlDsaCertificate(site.certificatePem)

  it('is without fault under the authority that issued it, while it is valid', () => {
    expect(certificate.faultUnder(authority, Date.now())).to.equal(undefined)
    expect(certificate.uris).to.deep.equal(['urn:qkdkit:site:site-a'])
    expect(certificate.isAuthority).to.equal(false)
    expect(authority.isAuthority).to.equal(true)
  })

  it('is of no use before its time, after it, and after that of its authority', () => {
    expect(certificate.faultUnder(authority, Date.now() - DAY_MS)).to.match(/not valid before/)
    expect(certificate.faultUnder(authority, Date.now() + 6 * DAY_MS)).to.match(/has expired on/)
    const short = createMlDsaAuthority({ commonName: 'Old CA', days: 1, now: () => Date.now() - 2 * DAY_MS })
    const late = issueMlDsaCertificate(short, { commonName: 'site-a', uris: [], days: 5 })
    const fault = new MlDsaCertificate(late.certificatePem).faultUnder(
      new MlDsaCertificate(short.certificatePem),
      Date.now(),
    )
    expect(fault).to.match(/has expired on/)
  })

  it('is of no use under another authority, even one of the same name', () => {
    const other = new MlDsaCertificate(createMlDsaAuthority({ commonName: 'Other CA', days: 10 }).certificatePem)
    expect(certificate.faultUnder(other, Date.now())).to.match(/another certificate authority/)
    const twin = new MlDsaCertificate(createMlDsaAuthority({ commonName: 'Test CA', days: 10 }).certificatePem)
    expect(certificate.faultUnder(twin, Date.now())).to.match(/signature is not one of/)
    expect(certificate.faultUnder(certificate, Date.now())).to.match(/no certificate authority/)
    expect(authority.faultUnder(authority, Date.now())).to.match(/not of a site/)
  })

  it('is of no use with any byte of what is signed changed', () => {
    const { raw } = certificate
    const uri = raw.indexOf('site-a', raw.indexOf('urn:qkdkit'))
    const forged = Buffer.from(raw)
    forged.write('site-b', uri)
    expect(new MlDsaCertificate(forged).uris).to.deep.equal(['urn:qkdkit:site:site-b'])
    expect(new MlDsaCertificate(forged).faultUnder(authority, Date.now())).to.match(/signature is not one of/)
  })

  it('is refused when it is cut short, of another algorithm, or none at all', () => {
    for (let size = 0; size < certificate.raw.byteLength; size += 97) {
      expect(() => new MlDsaCertificate(certificate.raw.subarray(0, size)), `${size}`).to.throw(/ML-DSA-65/)
    }
    expect(() => new MlDsaCertificate(Buffer.alloc(20_000))).to.throw(/ML-DSA-65/)
    const otherAlgorithm = Buffer.from(certificate.raw)
    const at = otherAlgorithm.indexOf(Buffer.from('608648016503040312', 'hex'))
    otherAlgorithm[at + 8] = 0x13
    expect(() => new MlDsaCertificate(otherAlgorithm)).to.throw(/ML-DSA-65/)
  })

  const itNatively = nativeMlDsa65() === undefined ? () => {} : it
  itNatively('is one to OpenSSL too, where this Node has ML-DSA', () => {
    const [own, above] = [new X509Certificate(site.certificatePem), new X509Certificate(ca.certificatePem)]
    expect(own.verify(above.publicKey)).to.equal(true)
    expect(above.verify(above.publicKey)).to.equal(true)
    expect(own.checkIssued(above)).to.equal(true)
    expect(own.checkPrivateKey(createPrivateKey(site.privateKeyPem))).to.equal(true)
  })
})

describe('mlDsaSeed', () => {
  it('gives back what mlDsaKeyPem wrote', () => {
    const seed = SecretKey.random(32)
    expect(mlDsaSeed(mlDsaKeyPem(seed)).equals(seed)).to.equal(true)
  })

  it('refuses other keys and other texts', () => {
    const pem = mlDsaKeyPem(SecretKey.random(32))
    const lines = pem.split('\n')
    for (const text of ['', 'no key', pem.replace('PRIVATE', 'PUBLIC'), [lines[0], 'AAAA', lines.at(-2)].join('\n')]) {
      expect(() => mlDsaSeed(text)).to.throw(/ML-DSA-65/)
    }
  })
})

describe('issueMlDsaCertificate', () => {
  it('refuses an authority without its key, names that are no URIs, and bad times', () => {
    const [ca, other] = [1, 2].map(() => createMlDsaAuthority({ commonName: 'CA', days: 1 })) as [
      ReturnType<typeof createMlDsaAuthority>,
      ReturnType<typeof createMlDsaAuthority>,
    ]
    const mixed = { certificatePem: ca.certificatePem, privateKeyPem: other.privateKeyPem }
    const options = { commonName: 'site-a', uris: ['urn:a'], days: 1 }
    expect(() => issueMlDsaCertificate(mixed, options)).to.throw(/not an ML-DSA-65 certificate authority/)
    expect(() => issueMlDsaCertificate(ca, { ...options, uris: ['urn a'] })).to.throw(/printable ASCII/)
    expect(() => issueMlDsaCertificate(ca, { ...options, days: 0 })).to.throw(/days/)
    expect(() => issueMlDsaCertificate(ca, { ...options, commonName: '' })).to.throw(/commonName/)
  })
})
