import { expect } from 'chai'
import { UnauthorizedError } from '../../lib/errors.ts'
import type { HttpResponse } from '../../lib/interface/http.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { createSkipHandler } from '../../lib/skip/handler.ts'
import { keyIdFromHex, keyIdToHex } from '../../lib/skip/key-id.ts'
import { type SkipSystem, SkipSystems } from '../../lib/skip/systems.ts'
import { createTestSites, type TestSites, type TestSitesOptions } from '../helpers/test-sites.ts'
import { until } from '../helpers/until.ts'

const SYSTEMS: readonly SkipSystem[] = [
  { systemId: 'KP_A', saeId: 'alice' },
  { systemId: 'KP_B[12]', saeId: 'bob' },
  { systemId: 'KP_B', saeId: 'bob' },
]

/** Both sites' key providers, as alice and the hosts of the second site call them. */
async function start(options: TestSitesOptions = {}) {
  const sites = await createTestSites(options)
  const provider = (site: 0 | 1, remoteSaeIds: string[]) => {
    const handler = createSkipHandler({
      directory: sites.sites[site],
      identify: ({ pskIdentity }) => {
        if (pskIdentity === undefined) throw new UnauthorizedError('Nobody is there')
        return pskIdentity
      },
      systems: new SkipSystems({ systems: SYSTEMS, remoteSaeIds }),
    })
    return (saeId: string | undefined, target: string, method = 'GET') =>
      handler({
        method,
        target,
        headers: {},
        body: new Uint8Array(0),
        identity: undefined,
        pskIdentity: saeId,
        signal: new AbortController().signal,
      })
  }
  return { sites, atA: provider(0, ['bob', 'carol']), atB: provider(1, ['alice']) }
}

const json = ({ body }: HttpResponse) => JSON.parse(Buffer.from(body).toString())

describe('createSkipHandler', () => {
  let sites: TestSites
  let atA: Awaited<ReturnType<typeof start>>['atA']
  let atB: Awaited<ReturnType<typeof start>>['atB']

  before(async () => {
    ;({ sites, atA, atB } = await start())
    await until(async () => (await sites.alice.getStatus('bob')).storedKeyCount > 0, 'key in the pool')
  })
  after(() => sites[Symbol.asyncDispose]())

  it('tells each encryptor its own name and those of its peers', async () => {
    const response = await atA('alice', '/capabilities')
    expect(response.status).to.equal(200)
    expect(response.headers).to.include({ 'content-type': 'application/json', 'cache-control': 'no-store' })
    expect(json(response)).to.include({ entropy: true, key: true, localSystemID: 'KP_A' })
    expect(json(response).remoteSystemID).to.deep.equal(['KP_B[12]', 'KP_B', 'carol'])
    expect(json(await atB('carol', '/capabilities'))).to.deep.include({
      localSystemID: 'carol',
      remoteSystemID: ['KP_A'],
    })
  })

  it('gives both encryptors the same key, once each', async () => {
    const drawn = await atA('alice', '/key?remoteSystemID=KP_B')
    expect(drawn).to.include({ status: 200, secret: true })
    const { keyId, key } = json(drawn)
    expect(keyId).to.match(/^[0-9a-f]{32}$/)
    expect(key).to.match(/^[0-9a-f]{64}$/)
    const fetched = await atB('bob', `/key/${keyId.toUpperCase()}?remoteSystemID=KP_A`)
    expect(fetched).to.include({ status: 200, secret: true })
    expect(json(fetched)).to.deep.equal({ keyId, key })
    expect((await atB('bob', `/key/${keyId}?remoteSystemID=KP_A`)).status).to.equal(400)
  })

  it('gives ETSI 014 hosts the keys of encryptors, and the other way round', async () => {
    const drawn = json(await atA('alice', '/key?remoteSystemID=KP_B2&size=128'))
    const [fetched] = await sites.bob.getKeyWithIds('alice', [keyIdFromHex(drawn.keyId)!])
    expect(exportKey(fetched!.secret).toString('hex')).to.equal(drawn.key)
    const [issued] = await sites.alice.getKey('carol')
    const reached = json(await atB('carol', `/key/${keyIdToHex(issued!.keyId)}?remoteSystemId=KP_A`))
    expect(reached.key).to.equal(exportKey(issued!.secret).toString('hex'))
  })

  it('has keys of the size that is asked for', async () => {
    const { keyId, key } = json(await atA('alice', '/key?remoteSystemID=KP_B&size=128'))
    expect(keyId).to.have.length(32)
    expect(key).to.have.length(32)
  })

  it('gives entropy of the size that is asked for, different each time', async () => {
    const first = await atA('alice', '/entropy?minentropy=128')
    expect(first).to.include({ status: 200, secret: true })
    expect(json(first)).to.have.keys('randomStr', 'minentropy')
    expect(json(first).minentropy).to.equal(128)
    expect(json(first).randomStr).to.match(/^[0-9a-f]{32}$/)
    const whole = json(await atA('alice', '/entropy'))
    expect(whole.minentropy).to.equal(256)
    expect(whole.randomStr).to.match(/^[0-9a-f]{64}$/)
    expect(json(await atA('alice', '/entropy')).randomStr).not.to.equal(whole.randomStr)
  })

  for (const [what, status, target, method] of [
    ['another method', 405, '/key?remoteSystemID=KP_B', 'POST'],
    ['a path that is none', 404, '/foo', 'GET'],
    ['a path with too much', 404, '/key/00/11', 'GET'],
    ['a key for nobody', 400, '/key', 'GET'],
    ['a system that nobody is', 400, '/key?remoteSystemID=KP_B3', 'GET'],
    ['a host of the same site', 400, '/key?remoteSystemID=KP_A', 'GET'],
    ['a system named twice', 400, '/key?remoteSystemID=KP_B&remoteSystemID=carol', 'GET'],
    ['a size that is no number', 400, '/key?remoteSystemID=KP_B&size=1e2', 'GET'],
    ['a size of nothing', 400, '/key?remoteSystemID=KP_B&size=0', 'GET'],
    ['a size of part of a byte', 400, '/key?remoteSystemID=KP_B&size=129', 'GET'],
    ['a size beyond the limit', 400, '/key?remoteSystemID=KP_B&size=99999', 'GET'],
    ['a keyId that is not hex', 400, `/key/${'g'.repeat(32)}?remoteSystemID=KP_B`, 'GET'],
    ['a keyId with dashes', 400, '/key/0a2dd6ae-7a2d-4d9c-9a2e-000000000000?remoteSystemID=KP_B', 'GET'],
    ['a keyId that nobody issued', 400, `/key/${'0'.repeat(12)}40008${'0'.repeat(15)}?remoteSystemID=KP_B`, 'GET'],
    ['entropy without end', 400, '/entropy?minentropy=9999999', 'GET'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const response = await atA('alice', target, method)
      expect(response.status).to.equal(status)
      expect(json(response)).to.have.keys('error')
      if (status === 405) expect(response.headers.allow).to.equal('GET')
    })
  }

  it('refuses a stranger and an SAE of another site', async () => {
    expect((await atA(undefined, '/capabilities')).status).to.equal(401)
    expect((await atA('bob', '/capabilities')).status).to.equal(401)
  })

  it('keeps a key from an encryptor that it was not drawn for', async () => {
    const { keyId, key } = json(await atA('alice', '/key?remoteSystemID=KP_B'))
    expect((await atB('carol', `/key/${keyId}?remoteSystemID=KP_A`)).status).to.equal(401)
    expect(json(await atB('bob', `/key/${keyId}?remoteSystemID=KP_A`)).key).to.equal(key)
  })

  it('says when to come again where there is no key', async () => {
    await using dry = (await start({ pool: { maxWaitMs: 0 }, rateBps: 1 })).sites
    const systems = new SkipSystems({ systems: SYSTEMS, remoteSaeIds: ['bob'] })
    const handler = createSkipHandler({ directory: dry.sites[0], identify: () => 'alice', systems })
    const signal = new AbortController().signal
    const target = '/key?remoteSystemID=KP_B'
    const response = await handler({
      method: 'GET',
      target,
      headers: {},
      body: new Uint8Array(0),
      identity: undefined,
      signal,
    })
    expect(response.status).to.equal(503)
    expect(Number(response.headers['retry-after'])).to.be.above(0)
  })

  it('refuses by the policy of the site, and consumes nothing', async () => {
    const policy = {
      rules: [{ name: 'no-skip', match: { integration: ['skip'] }, deny: true }],
      otherwise: 'allow',
    } as const
    const { sites: ruled, atA: ask } = await start({ policy })
    await using _ = ruled
    const response = await ask('alice', '/key?remoteSystemID=KP_B')
    expect(response.status).to.equal(400)
    expect(json(response).error).to.include('no-skip')
  })
})
