import { expect } from 'chai'
import { createRemoteKms, type RemoteKmsOptions } from '../../lib/client/remote-kms.ts'
import type { QkdErrorCode } from '../../lib/errors.ts'
import { createHttpsServer } from '../../lib/http/https-server.ts'
import { createInProcessTransport } from '../../lib/http/in-process-transport.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../../lib/interface/http.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

const ID = '0d8d8e9c-6c3a-4b1f-9a57-3c1df0a0a001'
const KEY = Buffer.alloc(32, 0xa5)

type Reply = { status?: number; headers?: Record<string, string>; body?: unknown }

/** A KME that answers every request so, a client of it, and what it was asked. */
function foreignKme(reply: Reply | ((request: HttpRequest) => Reply), options: Partial<RemoteKmsOptions> = {}) {
  const seen: HttpRequest[] = []
  const handler: HttpHandler = async request => {
    seen.push(request)
    const { status = 200, headers = {}, body = '' } = typeof reply === 'function' ? reply(request) : reply
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    return { status, headers, body: bytes } satisfies HttpResponse
  }
  const transport = createInProcessTransport(handler, { identity: undefined })
  return { kms: createRemoteKms({ transport, saeId: 'alice', ...options }), seen }
}

const container = (...keys: object[]) => ({ body: { keys } })
const entry = (more: object = {}) => ({ key_ID: ID, key: KEY.toString('base64'), ...more })
const getKey = (kms: Kms) => kms.getKey('bob')
const getKeyWithIds = (kms: Kms) => kms.getKeyWithIds('bob', [ID])
const getStatus = (kms: Kms) => kms.getStatus('bob')

const status = {
  source_KME_ID: 'KME-A',
  target_KME_ID: 'KME-B',
  master_SAE_ID: 'alice',
  slave_SAE_ID: 'bob',
  key_size: 352,
  stored_key_count: 25_000,
  max_key_count: 100_000,
  max_key_per_request: 128,
  max_key_size: 1_024,
  min_key_size: 64,
  max_SAE_ID_count: 0,
}

describe('RemoteKms', () => {
  describe('at a KME of another project', () => {
    const refusals: [name: string, call: (kms: Kms) => Promise<unknown>, reply: Reply, code: QkdErrorCode][] = [
      ['an HTML 401', getKey, { status: 401, body: '<html>no</html>' }, 'ERR_QKD_UNAUTHORIZED'],
      ['an empty 401', getStatus, { status: 401 }, 'ERR_QKD_UNAUTHORIZED'],
      ['a 400', getKey, { status: 400, body: { message: 'number too large' } }, 'ERR_QKD_INVALID_ARGUMENT'],
      ['an empty 400', getKeyWithIds, { status: 400 }, 'ERR_QKD_INVALID_ARGUMENT'],
      [
        'the prescribed words for a missing key',
        getKeyWithIds,
        { status: 400, body: { message: 'one or more keys specified are not found on KME' } },
        'ERR_QKD_KEY_NOT_FOUND',
      ],
      [
        'other words for it',
        getKeyWithIds,
        { status: 400, body: { message: `Key ${ID} not found` } },
        'ERR_QKD_KEY_NOT_FOUND',
      ],
      [
        'the prescribed words for an extension that cannot be met',
        getKey,
        { status: 400, body: { message: 'not all extension_mandatory request options could be met' } },
        'ERR_QKD_POLICY_DENIED',
      ],
      [
        'a 400 for exhaustion',
        getKey,
        { status: 400, body: { message: 'Not enough key material available' } },
        'ERR_QKD_POOL_EXHAUSTED',
      ],
      ['a 403 for an expired key', getKeyWithIds, { status: 403 }, 'ERR_QKD_KEY_NOT_FOUND'],
      ['a 403', getKey, { status: 403 }, 'ERR_QKD_UNAUTHORIZED'],
      ['a 404 for a key', getKeyWithIds, { status: 404 }, 'ERR_QKD_KEY_NOT_FOUND'],
      ['a 404 for an SAE', getKey, { status: 404, body: { detail: 'Not Found' } }, 'ERR_QKD_INVALID_ARGUMENT'],
      ['a 422', getKey, { status: 422, body: { detail: [{ loc: ['number'] }] } }, 'ERR_QKD_INVALID_ARGUMENT'],
      ['a 429', getKey, { status: 429, headers: { 'retry-after': '3' } }, 'ERR_QKD_POOL_EXHAUSTED'],
      ['a 503 for keys', getKey, { status: 503, headers: { 'retry-after': '3' } }, 'ERR_QKD_POOL_EXHAUSTED'],
      ['a 503 for a status', getStatus, { status: 503 }, 'ERR_QKD_KME_UNREACHABLE'],
      ['a 504', getKey, { status: 504, body: { error: 'peer KME down' } }, 'ERR_QKD_KME_UNREACHABLE'],
      ['a 500', getKey, { status: 500, body: '<h1>Oops</h1>' }, 'ERR_QKD_KME_RESPONSE'],
      ['a redirect', getKey, { status: 302, headers: { location: '/login' } }, 'ERR_QKD_KME_RESPONSE'],
      ['an empty 200', getKey, {}, 'ERR_QKD_KME_RESPONSE'],
      ['a login page', getStatus, { body: '<html>' }, 'ERR_QKD_KME_RESPONSE'],
      ['no keys', getKey, container(), 'ERR_QKD_KME_RESPONSE'],
      ['more keys than asked', getKey, container(entry(), entry({ key_ID: 'b' })), 'ERR_QKD_KME_RESPONSE'],
      ['a key in the URL alphabet', getKey, container(entry({ key: '_-_-' })), 'ERR_QKD_KME_RESPONSE'],
      ['keys as an object', getKey, { body: { keys: entry() } }, 'ERR_QKD_KME_RESPONSE'],
      ['a key that was not asked', getKeyWithIds, container(entry({ key_ID: 'other' })), 'ERR_QKD_KME_RESPONSE'],
      ['a status without a member', getStatus, { body: { ...status, key_size: undefined } }, 'ERR_QKD_KME_RESPONSE'],
      ['a status with text for a number', getStatus, { body: { ...status, key_size: '352' } }, 'ERR_QKD_KME_RESPONSE'],
    ]
    for (const [name, call, reply, code] of refusals) {
      it(`takes ${name} for ${code} and does not ask again`, async () => {
        const { kms, seen } = foreignKme(reply)
        const error = await rejectsWith(call(kms), code)
        expect(seen).to.have.length(1)
        if (reply.headers?.['retry-after'] !== undefined) expect(error.retryAfterMs).to.equal(3_000)
      })
    }

    it('passes message and details on', async () => {
      const body = { message: 'Invalid parameter value', details: [{ parameter_name: 'size', allowed_values: [256] }] }
      const error = await rejectsWith(getKey(foreignKme({ status: 400, body }).kms), 'ERR_QKD_INVALID_ARGUMENT')
      expect(error.message).to.equal(body.message)
      expect(error.details).to.deep.equal(body.details)
    })

    it('trusts our code in details only where a server may say it', async () => {
      const refused = (code: unknown) =>
        foreignKme({ status: 503, body: { message: 'x', details: [{ qkd_code: code }] } })
      await rejectsWith(getKey(refused('ERR_QKD_NO_ROUTE').kms), 'ERR_QKD_NO_ROUTE')
      for (const code of ['ERR_QKD_CLOSED', 'ERR_QKD_OTHER', 1, null]) {
        await rejectsWith(getKey(refused(code).kms), 'ERR_QKD_POOL_EXHAUSTED')
      }
    })

    it('takes keys with white space in them, null extensions and unknown members', async () => {
      const text = `${KEY.toString('base64')}\n`
      const { kms } = foreignKme({
        body: { keys: [entry({ key: text, key_extension: null, x: 1 })], key_container_extension: null, vendor: {} },
      })
      const [key] = await kms.getKey('bob', { sizeBits: 256 })
      expect(key).to.deep.include({ keyId: ID, sizeBits: 256, level: undefined, trustClass: undefined })
      expect(exportKey(key!.secret)).to.deep.equal(KEY)
    })

    it('takes any key_ID, and puts keys into the order asked for', async () => {
      const ids = ['4-block', 'c0ffee00-0000-1000-d255-000000000000', 'x']
      const { kms, seen } = foreignKme({ body: { keys: ids.toReversed().map(id => entry({ key_ID: id })) } })
      const keys = await kms.getKeyWithIds('bob', ids)
      expect(keys.map(({ keyId }) => keyId)).to.deep.equal(ids)
      expect(JSON.parse(Buffer.from(seen[0]!.body).toString())).to.deep.equal({
        key_IDs: ids.map(key_ID => ({ key_ID })),
      })
    })

    it('refuses a key of another size than asked', async () => {
      const { kms } = foreignKme(container(entry()))
      await rejectsWith(kms.getKey('bob', { sizeBits: 512 }), 'ERR_QKD_KME_RESPONSE')
    })

    it('takes fewer keys than asked and logs it', async () => {
      const lines: object[] = []
      const write = (fields: object) => void lines.push(fields)
      const logger = { debug: write, info: write, warn: write, error: write }
      const { kms } = foreignKme(container(entry()), { logger })
      expect(await kms.getKey('bob', { number: 3 })).to.have.length(1)
      expect(lines).to.deep.equal([{ asked: 3, given: 1 }])
    })

    it('reads a lower-case status and a key without a list only when told to', async () => {
      const small = Object.fromEntries(Object.entries(status).map(([name, value]) => [name.toLowerCase(), value]))
      const reply = ({ target }: HttpRequest) =>
        target.endsWith('/status') ? { body: { ...small, target_kme_id: 0 } } : { body: { keys: entry() } }
      await rejectsWith(getStatus(foreignKme(reply).kms), 'ERR_QKD_KME_RESPONSE')
      const { kms } = foreignKme(reply, { profile: 'lenient' })
      expect(await kms.getStatus('bob')).to.deep.include({ sourceKmeId: 'KME-A', targetKmeId: '0', keySizeBits: 352 })
      expect(await kms.getKey('bob')).to.have.length(1)
    })
  })

  describe('on the wire', () => {
    const wireOf = async (call: (kms: Kms) => Promise<unknown>, options: Partial<RemoteKmsOptions> = {}) => {
      const { kms, seen } = foreignKme({ status: 400 }, options)
      await call(kms).catch(() => {})
      const { method, target, headers, body } = seen[0]!
      return { method, target, type: headers['content-type'], body: Buffer.from(body).toString() }
    }

    it('asks for one key by GET and for more by POST', async () => {
      expect(await wireOf(kms => kms.getKey('a/b c'))).to.deep.equal({
        method: 'GET',
        target: '/api/v1/keys/a%2Fb%20c/enc_keys',
        type: undefined,
        body: '',
      })
      const sized = await wireOf(kms => kms.getKey('bob', { sizeBits: 128 }))
      expect(sized.target).to.equal('/api/v1/keys/bob/enc_keys?size=128')
      expect(await wireOf(kms => kms.getKey('bob', { number: 2, sizeBits: 128 }))).to.deep.equal({
        method: 'POST',
        target: '/api/v1/keys/bob/enc_keys',
        type: 'application/json',
        body: '{"number":2,"size":128}',
      })
    })

    it('asks for a level by a mandatory extension', async () => {
      const extensionMandatory = [{ abc_x: 1 }]
      const { body } = await wireOf(kms => kms.getKey('bob', { level: 'hybrid', extensionMandatory }))
      expect(JSON.parse(body)).to.deep.equal({ extension_mandatory: [{ qkd_level: 'hybrid' }, { abc_x: 1 }] })
    })

    it('asks for keys by ID by GET for one and by POST for more', async () => {
      const one = await wireOf(getKeyWithIds)
      expect(one).to.deep.include({ method: 'GET', target: `/api/v1/keys/bob/dec_keys?key_ID=${ID}` })
      const two = await wireOf(kms => kms.getKeyWithIds('bob', [ID, 'b']))
      expect(two).to.deep.include({ method: 'POST', body: `{"key_IDs":[{"key_ID":"${ID}"},{"key_ID":"b"}]}` })
    })

    it('uses the method that it is set to', async () => {
      expect(await wireOf(getKey, { method: 'POST' })).to.deep.include({ method: 'POST', body: '{}' })
      expect((await wireOf(getKeyWithIds, { method: 'POST' })).method).to.equal('POST')
      const numbered = await wireOf(kms => kms.getKey('bob', { number: 2 }), { method: 'GET' })
      expect(numbered.target).to.equal('/api/v1/keys/bob/enc_keys?number=2')
      const { kms, seen } = foreignKme({}, { method: 'GET' })
      await rejectsWith(kms.getKey('bob', { level: 'quantum' }), 'ERR_QKD_INVALID_ARGUMENT')
      await rejectsWith(kms.getKeyWithIds('bob', ['a', 'b']), 'ERR_QKD_INVALID_ARGUMENT')
      expect(seen).to.have.length(0)
    })

    it('sends nothing for arguments that cannot be right', async () => {
      const { kms, seen } = foreignKme({})
      const wrong = [
        () => kms.getKey('alice'),
        () => kms.getKey(' bob'),
        () => kms.getKey('bob', { number: 0 }),
        () => kms.getKey('bob', { sizeBits: 250 }),
        () => kms.getKey('bob', { timeoutMs: 0 }),
        () => kms.getKey('bob', { additionalSlaveSaeIds: ['bob'] }),
        () => kms.getStatus(''),
        () => kms.getKeyWithIds('bob', []),
        () => kms.getKeyWithIds('bob', [ID, ID.toUpperCase()]),
      ]
      for (const call of wrong) await rejectsWith(call(), 'ERR_QKD_INVALID_ARGUMENT')
      expect(seen).to.have.length(0)
    })
  })

  it('refuses a KME that is not the expected one before it sends anything', async () => {
    const authority = createTestAuthority()
    let requests = 0
    const handler: HttpHandler = async () => {
      requests += 1
      return { status: 200, headers: {}, body: Buffer.from(JSON.stringify({ keys: [entry()] })) }
    }
    await using server = createHttpsServer({ ...authority.issue('KME-1'), handler })
    await server.listen()
    const common = { baseUrl: server.url, ...authority.issue('alice'), saeId: 'alice' }
    await using wrong = createRemoteKms({ ...common, expectedKmeId: 'KME-2' })
    await rejectsWith(wrong.getKey('bob'), 'ERR_QKD_KME_UNREACHABLE')
    expect(requests).to.equal(0)
    await using right = createRemoteKms({ ...common, expectedKmeId: 'KME-1' })
    expect(await right.getKey('bob')).to.have.length(1)
  })

  it('gives up when its time is over, and rethrows the reason of an abort under way', async () => {
    const transport = createInProcessTransport(() => new Promise(() => {}), { identity: undefined })
    const kms = createRemoteKms({ transport, saeId: 'alice', timeoutMs: 20 })
    const late = await kms.getKey('bob').catch((error: Error) => error.name)
    expect(late).to.equal('TimeoutError')
    const controller = new AbortController()
    const reason = new Error('no patience')
    const waiting = kms.getKey('bob', { signal: controller.signal, timeoutMs: 60_000 }).catch((error: unknown) => error)
    controller.abort(reason)
    expect(await waiting).to.equal(reason)
  })

  it('finishes what runs on close, and leaves a transport that was passed in open', async () => {
    let release = (_: HttpResponse) => {}
    const transport = createInProcessTransport(() => new Promise(resolve => (release = resolve)), {
      identity: undefined,
    })
    const kms = createRemoteKms({ transport, saeId: 'alice' })
    const running = kms.getKey('bob')
    const closing = kms.close()
    await rejectsWith(kms.getKey('bob'), 'ERR_QKD_CLOSED')
    release({ status: 200, headers: {}, body: Buffer.from(JSON.stringify({ keys: [entry()] })) })
    expect(await running).to.have.length(1)
    await closing
    const answer = transport.request({ method: 'GET', target: '/' })
    release({ status: 200, headers: {}, body: Buffer.alloc(0) })
    expect((await answer).status).to.equal(200)
  })
})
