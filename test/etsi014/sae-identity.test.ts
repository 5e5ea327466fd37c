import { expect } from 'chai'
import { type RegisteredSae, saeIdentifier } from '../../lib/etsi014/sae-identity.ts'
import type { CertificateIdentity } from '../../lib/interface/http.ts'
import type { IdentitySource } from '../../lib/interface/sae-identity.ts'

const FINGERPRINT = 'ab'.repeat(32)
const PROXY = 'cd'.repeat(32)

const certificate = (fields: Partial<CertificateIdentity> = {}): CertificateIdentity => ({
  commonName: undefined,
  uriSans: [],
  dnsSans: [],
  fingerprint256: '00'.repeat(32),
  serialNumber: '0A0B',
  ...fields,
})

const SAES: RegisteredSae[] = [
  { saeId: 'alice' },
  { saeId: 'bob' },
  { saeId: 'a/b' },
  { saeId: 'pinned', fingerprint256: FINGERPRINT },
  { saeId: 'numbered', serialNumber: '0a0b0c' },
]

function whoIs(
  fields: Partial<CertificateIdentity> | undefined,
  sources?: readonly IdentitySource[],
  { headers = {}, remoteAddress }: { headers?: Record<string, string>; remoteAddress?: string } = {},
): string {
  const identity = fields === undefined ? undefined : certificate(fields)
  return saeIdentifier(SAES, sources)({ identity, headers, remoteAddress })
}

function refused(run: () => string, words: RegExp): void {
  expect(run).to.throw(words).with.property('code', 'ERR_QKD_UNAUTHORIZED')
}

describe('saeIdentifier', () => {
  it('knows an SAE by fingerprint, serial number, URN and common name unless told otherwise', () => {
    expect(whoIs({ commonName: 'alice' })).to.equal('alice')
    expect(whoIs({ uriSans: ['https://x.example', 'urn:qkdkit:sae:bob'] })).to.equal('bob')
    expect(whoIs({ uriSans: ['urn:qkdkit:sae:a%2Fb'] })).to.equal('a/b')
    expect(whoIs({ fingerprint256: FINGERPRINT, commonName: 'alice' })).to.equal('pinned')
    expect(whoIs({ serialNumber: '0A0B0C' })).to.equal('numbered')
    refused(() => whoIs({ dnsSans: ['alice'] }), /names no SAE/)
  })

  it('looks at the places that the configuration names, in their order, and nowhere else', () => {
    const both = { commonName: 'alice', dnsSans: ['bob.sae.example'] }
    const dns = { from: 'dns-san', suffix: '.SAE.example' } as const
    expect(whoIs(both, [dns, { from: 'common-name' }])).to.equal('bob')
    expect(whoIs(both, [{ from: 'common-name' }, dns])).to.equal('alice')
    expect(whoIs({ dnsSans: ['bob'] }, [{ from: 'dns-san' }])).to.equal('bob')
    expect(whoIs({ uriSans: ['sae://alice'] }, [{ from: 'uri-san', prefix: 'sae://' }])).to.equal('alice')
    refused(() => whoIs({ commonName: 'alice' }, [dns]), /names no SAE \(looked at: dns-san\)/)
  })

  it('refuses a certificate that names nobody, somebody unknown, or two SAEs at one place', () => {
    refused(() => whoIs({}), /names no SAE/)
    refused(() => whoIs({ commonName: 'mallory' }), /names "mallory"/)
    refused(() => whoIs({ uriSans: ['urn:qkdkit:sae:%ff'] }), /names no SAE/)
    refused(() => whoIs({ uriSans: ['urn:qkdkit:sae:alice', 'urn:qkdkit:sae:bob'] }), /several registered SAEs/)
    expect(whoIs({ uriSans: ['urn:qkdkit:sae:alice', 'urn:qkdkit:sae:alice'] })).to.equal('alice')
    expect(whoIs({ uriSans: ['urn:qkdkit:sae:mallory'], commonName: 'alice' })).to.equal('alice')
  })

  it('gives the name of an SAE with a pinned certificate to no other certificate', () => {
    refused(() => whoIs({ commonName: 'pinned' }), /not that of a registered SAE/)
    refused(() => whoIs({ uriSans: ['urn:qkdkit:sae:numbered'] }), /not that of a registered SAE/)
    refused(() => whoIs({ serialNumber: '0A0B' }), /names no SAE/)
    expect(whoIs({ serialNumber: '000a0b0c' })).to.equal('numbered')
  })

  it('refuses a caller without a certificate', () => {
    refused(() => whoIs(undefined), /No client certificate/)
  })

  describe('with a header of a proxy', () => {
    const header = { from: 'header', name: 'sae-id', proxies: [PROXY] } as const
    const sources: readonly IdentitySource[] = [header, { from: 'common-name' }]
    const says = (value: string) => ({ headers: { 'sae-id': value } })

    it('takes the word of a proxy whose certificate is listed, and of nobody else', () => {
      expect(whoIs({ fingerprint256: PROXY }, sources, says('bob'))).to.equal('bob')
      expect(whoIs({ commonName: 'alice' }, sources, says('bob'))).to.equal('alice')
      refused(() => whoIs({ commonName: 'mallory' }, sources, says('bob')), /names "mallory"/)
      refused(() => whoIs(undefined, sources, { ...says('bob'), remoteAddress: '127.0.0.1' }), /No client certificate/)
    })

    it('refuses a listed proxy that names nobody, two, somebody unknown, or an SAE with a pinned certificate', () => {
      const proxy = { fingerprint256: PROXY, commonName: 'alice' }
      refused(() => whoIs(proxy, sources), /did not say in sae-id/)
      refused(() => whoIs(proxy, sources, says('  ')), /did not say in sae-id/)
      refused(() => whoIs(proxy, sources, says('alice, bob')), /must come once/)
      refused(() => whoIs(proxy, sources, says('mallory')), /does not name an SAE/)
      refused(() => whoIs(proxy, sources, says('pinned')), /does not name an SAE/)
    })

    it('takes the word of a program of this machine where that is switched on', () => {
      const local = [{ from: 'header', name: 'sae-id', loopback: true }] as const
      for (const remoteAddress of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
        expect(whoIs(undefined, local, { ...says('bob'), remoteAddress })).to.equal('bob')
      }
      for (const remoteAddress of ['192.0.2.1', '::2', undefined]) {
        const caller = { ...says('bob'), ...(remoteAddress && { remoteAddress }) }
        refused(() => whoIs(undefined, local, caller), /No client certificate/)
      }
      refused(() => whoIs({ commonName: 'alice' }, local, { ...says('bob'), remoteAddress: '::1' }), /names no SAE/)
    })
  })
})
