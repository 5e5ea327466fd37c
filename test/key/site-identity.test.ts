import { expect } from 'chai'
import { UnauthorizedError } from '../../lib/errors.ts'
import { createMlDsaAuthority, issueMlDsaCertificate } from '../../lib/key/ml-dsa-issue.ts'
import { SiteIdentity, siteUri } from '../../lib/key/site-identity.ts'

const DAY_MS = 86_400_000
const authority = createMlDsaAuthority({ commonName: 'sites', days: 10 })
const message = Buffer.from('a transcript')

function identity(siteId: string, { ca = authority, now = Date.now } = {}): SiteIdentity {
  const own = issueMlDsaCertificate(ca, { commonName: siteId, uris: [siteUri(siteId)], days: 1 })
  const files = { cert: own.certificatePem, key: own.privateKeyPem, ca: authority.certificatePem }
  return new SiteIdentity(files, { now })
}

const proofOf = (site: SiteIdentity, context = 'here') => {
  const { certificate } = site
  return { certificate, signature: site.sign(message, context) }
}

describe('SiteIdentity', () => {
  const [a, b] = [identity('site-a'), identity('site-b')]

  it('takes what the other site signed, in its context', () => {
    expect(() => a.verify('site-b', proofOf(b), message, 'here')).to.not.throw()
  })

  const stranger = createMlDsaAuthority({ commonName: 'others', days: 10 })
  const nothing = new Uint8Array(0)
  const refusals: [string, () => void][] = [
    ['another message', () => a.verify('site-b', proofOf(b), Buffer.from('another'), 'here')],
    ['another context', () => a.verify('site-b', proofOf(b, 'there'), message, 'here')],
    ["another site's", () => a.verify('site-c', proofOf(b), message, 'here')],
    ['no certificate', () => a.verify('site-b', { ...proofOf(b), certificate: nothing }, message, 'here')],
    ['no signature', () => a.verify('site-b', { ...proofOf(b), signature: nothing }, message, 'here')],
    ['a certificate that is none', () => a.verify('site-b', { ...proofOf(b), certificate: message }, message, 'here')],
    ['another authority', () => a.verify('site-b', proofOf(identity('site-b', { ca: stranger })), message, 'here')],
    [
      'a certificate that has expired',
      () => identity('site-a', { now: () => Date.now() + 2 * DAY_MS }).verify('site-b', proofOf(b), message, 'here'),
    ],
  ]
  for (const [what, verify] of refusals) it(`refuses ${what}`, () => expect(verify).to.throw(UnauthorizedError))
})
