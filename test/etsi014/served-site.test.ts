import { X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import { expect } from 'chai'
import type { TestCredentials } from '../helpers/test-certificates.ts'
import { createServedTestSites, type ServedTestSites } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly json: any
}

describe('the ETSI 014 server of a site whose configuration says who is who', () => {
  let sites: ServedTestSites
  let proxy: TestCredentials

  before(async () => {
    sites = await createServedTestSites({
      pool: { maxWaitMs: 20 },
      etsi014: credentials => {
        proxy = credentials('proxy')
        const fingerprint = new X509Certificate(proxy.cert).fingerprint256.replaceAll(':', '').toLowerCase()
        return {
          saeIdentity: [
            { from: 'uri-san', prefix: 'urn:dkms:sae:' },
            { from: 'header', name: 'sae-id', proxies: [fingerprint] },
          ],
          clientCertificate: 'optional',
          exhaustionStatus: 400,
          ignoreSize: true,
          keyExtensions: false,
          bodyLimitBytes: 1_024,
        }
      },
    })
    const kms = sites.sites[0].kmsFor('alice')
    await until(async () => (await kms.getStatus('bob')).storedKeyCount > 100, 'the pool has keys')
  })

  after(() => sites?.[Symbol.asyncDispose]())

  function ask(
    who: Partial<TestCredentials>,
    path: string,
    { headers = {}, body }: { headers?: Record<string, string>; body?: string } = {},
  ): Promise<Answer> {
    const { ca } = sites.credentials('anybody')
    const method = body === undefined ? 'GET' : 'POST'
    return new Promise((resolve, reject) => {
      const url = `${sites.sites[0].address.etsi014.url}/api/v1/keys/${path}`
      const type = body === undefined ? {} : { 'content-type': 'application/json' }
      const { key, cert } = who
      const tls = { ca, ...(key !== undefined && cert !== undefined && { key, cert }) }
      const outgoing = request(url, { method, ...tls, headers: { ...type, ...headers }, agent: false }, incoming => {
        let text = ''
        incoming.on('data', chunk => {
          text += String(chunk)
        })
        incoming.on('end', () => resolve({ status: incoming.statusCode!, json: JSON.parse(text) }))
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }

  const host = () => sites.credentials('some host', { uriSans: ['urn:dkms:sae:alice'] })

  it('knows a host by the place that is configured, and no longer by another', async () => {
    expect((await ask(host(), 'bob/status')).json).to.include({ master_SAE_ID: 'alice' })
    const { status, json } = await ask(sites.credentials('alice'), 'bob/status')
    expect(status).to.equal(401)
    expect(json.message).to.match(/names no SAE \(looked at: uri-san, header\)/)
  })

  it('takes the word of the proxy that is listed, and of nobody else', async () => {
    const headers = { 'sae-id': 'alice' }
    expect((await ask(proxy, 'bob/status', { headers })).json).to.include({ master_SAE_ID: 'alice' })
    expect((await ask(proxy, 'bob/status')).json.message).to.match(/did not say in sae-id/)
    expect((await ask(proxy, 'bob/status', { headers: { 'sae-id': 'alice, bob' } })).status).to.equal(401)
    expect((await ask(sites.credentials('proxy'), 'bob/status', { headers })).status).to.equal(401)
    expect((await ask({}, 'bob/status', { headers })).json.message).to.match(/No client certificate/)
  })

  it('is as lenient and as strict as it is told', async () => {
    const { json } = await ask(host(), 'bob/enc_keys?size=32')
    expect(Buffer.from(json.keys[0].key, 'base64')).to.have.length(32)
    expect(json.keys[0]).to.have.keys('key_ID', 'key')
    expect((await ask(host(), 'bob/enc_keys', { body: `{"x":"${'y'.repeat(1_024)}"}` })).status).to.equal(413)
    sites.sites[0].setPolicy({
      rules: [{ name: 'one a day', rate: { bitsPerSecond: 1, burstBits: 1 } }],
      otherwise: 'deny',
    })
    const dry = await ask(host(), 'bob/enc_keys')
    expect(dry.status).to.equal(400)
    expect(dry.json.details).to.deep.include({ qkd_code: 'ERR_QKD_POOL_EXHAUSTED' })
  })
})
