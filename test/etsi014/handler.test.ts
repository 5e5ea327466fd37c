import { expect } from 'chai'
import { createEtsi014Handler } from '../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../lib/etsi014/sae-identity.ts'
import type { KmsDirectory } from '../../lib/interface/kms.ts'
import { createLocalPair } from '../../lib/site.ts'
import { createTestSites } from '../helpers/test-sites.ts'
import {
  type Caller,
  createWires,
  identityOf,
  keysOf,
  openWire,
  REGISTERED,
  refusal,
  UNKNOWN_ID,
  type Wires,
} from './wires.ts'

describe('Etsi014Handler', () => {
  let wires: Wires
  const A: Wires['A'] = (path, call) => wires.A(path, call)

  before(async () => {
    wires = await createWires()
  })

  after(() => wires[Symbol.asyncDispose]())

  describe('status', () => {
    it('answers with the eleven members of the standard', async () => {
      const { status, headers, json } = await A('bob/status')
      expect(status).to.equal(200)
      expect(headers).to.include({ 'content-type': 'application/json', 'cache-control': 'no-store' })
      expect(json).to.include({ master_SAE_ID: 'alice', slave_SAE_ID: 'bob' })
      expect(json).to.include({ source_KME_ID: 'kme-site-a', target_KME_ID: 'kme-site-b' })
      const counters = [
        'key_size',
        'stored_key_count',
        'max_key_count',
        'max_key_per_request',
        'max_key_size',
        'min_key_size',
        'max_SAE_ID_count',
      ]
      for (const name of counters) expect(json[name], name).to.satisfy(Number.isInteger)
      expect(Object.keys(json)).to.have.length(11)
    })

    it('adds how the pool fares for those who ask for it, and for nobody else', async () => {
      const { json } = await A('bob/status', { headers: { prefer: 'qkd-status-extension' } })
      const { qkd_pool: pool } = json.status_extension as { qkd_pool: Record<string, unknown> }
      expect(pool.trend).to.be.oneOf(['steady', 'changing'])
      expect(pool.degraded).to.equal(false)
      expect((await A('bob/status', { headers: { prefer: 'wait=10' } })).json).to.not.have.property('status_extension')
    })

    it('refuses an unknown slave, and the caller itself', async () => {
      refusal(await A('nobody/status'))
      refusal(await A('alice/status'))
    })

    it('takes GET only', async () => {
      expect(refusal(await A('bob/status', { method: 'POST' }), 405).headers.allow).to.equal('GET')
    })
  })

  describe('every method', () => {
    it('refuses a caller that is not registered, or has no certificate, with 401 and a JSON body', async () => {
      for (const sae of ['sae-9', 'bob', undefined]) {
        for (const path of ['bob/status', 'bob/enc_keys', `bob/dec_keys?key_ID=${UNKNOWN_ID}`]) {
          refusal(await wires.kms1(sae, path), 401)
        }
      }
    })

    it('answers 404 to unknown paths and 405 to other methods', async () => {
      for (const path of [
        '/',
        '/api/v1/keys/bob',
        '/api/v1/keys/bob/',
        '/api/v1/keys/bob/keys',
        '/api/v1/keys/a/b/status',
        '/api/v2/keys/bob/status',
        '/api/v1/keys/bob/toString',
      ]) {
        refusal(await A(path), 404)
      }
      for (const method of ['PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']) {
        for (const path of ['enc_keys', 'dec_keys']) {
          expect(refusal(await A(`bob/${path}`, { method }), 405).headers.allow).to.equal('GET, POST')
        }
      }
    })

    it('answers 413 to a large body and 415 to one that is no JSON', async () => {
      refusal(await A('bob/enc_keys', { body: `{"x":"${'y'.repeat(65_536)}"}` }), 413)
      for (const type of ['text/plain', 'application/jsonp', 'application/x-www-form-urlencoded', '']) {
        refusal(await A('bob/enc_keys', { body: '{}', headers: { 'content-type': type } }), 415)
      }
    })

    it('never writes a key to its log', async () => {
      const lines: string[] = []
      const write = (fields: object, message: string) => void lines.push(JSON.stringify(fields) + message)
      const logger = { debug: write, info: write, warn: write, error: write }
      const [logged1, logged2] = wires.sites.sites.map(site => openWire(site, { logger })) as [Caller, Caller]
      const given = keysOf(await logged1('alice', 'bob/enc_keys?number=3'))
      refusal(await logged1('alice', 'bob/enc_keys?number=0'))
      for (const { key_ID } of [...given, ...given]) await logged2('bob', `alice/dec_keys?key_ID=${key_ID}`)
      expect(lines).to.have.length.above(3)
      for (const { key } of given) {
        for (const line of lines) {
          expect(line).not.to.include(key)
          expect(line).not.to.include(Buffer.from(key, 'base64').toString('hex'))
        }
      }
    })

    it('marks answers with keys as secret, and no others', async () => {
      const handler = createEtsi014Handler({ directory: wires.sites.sites[0], saeIdentity: saeIdentifier(REGISTERED) })
      const request = { method: 'GET', headers: {}, body: Buffer.alloc(0), identity: identityOf('alice') }
      const { signal } = new AbortController()
      const ask = (path: string) => handler({ ...request, target: `/api/v1/keys/bob/${path}`, signal })
      expect((await ask('enc_keys')).secret).to.equal(true)
      expect((await ask('status')).secret).not.to.equal(true)
      expect((await ask('enc_keys?size=1')).secret).not.to.equal(true)
    })
  })

  it('routes SAE IDs with reserved characters, percent-encoded, and prints them decoded', async () => {
    const pair = await createLocalPair({
      rateBps: 100_000_000,
      sites: [
        { siteId: 'site-a', saeIds: ['a/b'] },
        { siteId: 'site-b', saeIds: ['a:b@c'] },
      ],
    })
    const [first, second] = pair.map(site => openWire(site))
    const { json } = await first!('a/b', 'a%3Ab%40c/status')
    expect(json).to.include({ master_SAE_ID: 'a/b', slave_SAE_ID: 'a:b@c' })
    const [key] = keysOf(await first!('a/b', 'a%3Ab%40c/enc_keys'))
    expect(keysOf(await second!('a:b@c', `a%2Fb/dec_keys?key_ID=${key!.key_ID}`))).to.deep.equal([key])
    for (const site of pair) await site.close()
  })

  it('answers 503 with Retry-After when the pool is used up, gives no part of a request, and recovers', async () => {
    const own = await createTestSites({ pool: { targetBlocks: 2, maxWaitMs: 50 } })
    const call = openWire(own.sites[0])
    const impatient = openWire(own.sites[0], { exhaustionStatus: 400 })
    await own.alice.getKey('bob', { timeoutMs: 10_000 }).catch(() => {})
    own.cutLink()
    const drained = async (ask: typeof call) => {
      for (;;) {
        const answer = await ask('alice', 'bob/enc_keys?number=100')
        if (answer.status !== 200) return answer
      }
    }
    let answer = refusal(await drained(call), 503)
    expect(answer.headers['retry-after']).to.match(/^[1-9][0-9]*$/)
    expect(answer.json.keys).to.equal(undefined)
    expect(answer.json.details).to.deep.include({ qkd_code: 'ERR_QKD_POOL_EXHAUSTED' })
    refusal(await drained(impatient), 400)
    own.mendLink()
    const deadline = Date.now() + 10_000
    do answer = await call('alice', 'bob/enc_keys?number=100')
    while (answer.status === 503 && Date.now() < deadline)
    expect(keysOf(answer)).to.have.length(100)
    await own[Symbol.asyncDispose]()
  })

  it('answers 503 without a word of the reason when its own side fails', async () => {
    const broken: KmsDirectory = {
      kmsFor: () => {
        throw new Error('disk /secret/place is full')
      },
    }
    const { text } = refusal(await openWire(broken)('alice', 'bob/status'), 503)
    expect(text).not.to.include('secret')
  })
})
