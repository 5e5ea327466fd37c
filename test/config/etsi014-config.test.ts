import { expect } from 'chai'
import { loadSiteConfig } from '../../lib/config.ts'
import type { QkdError } from '../../lib/errors.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { siteFile, writeSite } from './site-fixture.ts'

const pin = 'ab'.repeat(32)

async function load(fields: Readonly<Record<string, unknown>>) {
  await using dir = await createTempDir()
  return (await loadSiteConfig(await writeSite(dir.path, siteFile(fields)))).config
}

async function faults(fields: Readonly<Record<string, unknown>>): Promise<string> {
  await using dir = await createTempDir()
  const path = await writeSite(dir.path, siteFile(fields))
  return ((await rejectsWith(loadSiteConfig(path), 'ERR_QKD_CONFIG')) as QkdError).message
}

const sources = (...saeIdentity: object[]) => ({ '/etsi014': { saeIdentity } })

describe('etsi014 in a site configuration', () => {
  it('may be left out, and has a default for each field', async () => {
    expect((await load({})).etsi014).to.equal(undefined)
    expect((await load({ '/etsi014': {} })).etsi014).to.deep.equal({
      clientCertificate: 'required',
      exhaustionStatus: 503,
      ignoreSize: false,
      keyExtensions: true,
      bodyLimitBytes: 65_536,
      maxConnections: 1_024,
    })
  })

  it('takes every place where the name of an SAE may stand', async () => {
    const saeIdentity = [
      { from: 'fingerprint' },
      { from: 'serial-number' },
      { from: 'uri-san', prefix: 'urn:dkms:sae:' },
      { from: 'dns-san', suffix: '.sae.example' },
      { from: 'common-name' },
      { from: 'header', name: 'sae-id', proxies: [pin] },
    ]
    const { etsi014, saes } = await load({
      '/etsi014': { saeIdentity },
      '/saes': [
        { saeId: 'alice', fingerprint256: pin },
        { saeId: 'amy', serialNumber: '0A' },
      ],
    })
    expect(etsi014?.saeIdentity).to.deep.equal(saeIdentity)
    expect(saes).to.have.length(2)
  })

  it('refuses fields that go with another place', async () => {
    expect(await faults(sources({ from: 'common-name', prefix: 'x' }))).to.match(
      /\/etsi014\/saeIdentity\/0: field "prefix" does not go with "common-name"/,
    )
    expect(await faults(sources({ from: 'subject' }))).to.match(/saeIdentity\/0\/from: must be one of/)
    expect(await faults(sources())).to.match(/saeIdentity: must NOT have fewer than 1 items/)
  })

  it('refuses a header that nobody or anybody may send', async () => {
    expect(await faults(sources({ from: 'header', name: 'sae-id' }))).to.match(/nobody may send this header/)
    expect(await faults(sources({ from: 'header', proxies: [pin] }))).to.match(/field "name" is missing/)
    expect(await faults(sources({ from: 'header', name: 'sae-id', loopback: true }))).to.match(
      /set \/etsi014\/clientCertificate to "optional"/,
    )
  })

  it('refuses pins that nobody looks at, and one pin of two SAEs', async () => {
    const saes = [{ saeId: 'alice', fingerprint256: pin, serialNumber: '0A' }]
    const words = await faults({ ...sources({ from: 'common-name' }), '/saes': saes })
    expect(words).to.match(/\/saes\/0\/fingerprint256: nobody looks at it; add {"from": "fingerprint"}/)
    expect(words).to.match(/\/saes\/0\/serialNumber: nobody looks at it; add {"from": "serial-number"}/)
    const twice = [
      { saeId: 'alice', serialNumber: '0a' },
      { saeId: 'amy', serialNumber: '0A' },
    ]
    expect(await faults({ '/saes': twice })).to.match(/\/saes\/1\/serialNumber: .* stands at \/saes\/0\/serialNumber/)
  })
})
