import { expect } from 'chai'
import type { QkdError, QkdErrorCode } from '../../../lib/errors.ts'
import { createHttpsServer } from '../../../lib/http/https-server.ts'
import { createRemoteKms } from '../../../lib/index.ts'
import type { HttpHandler } from '../../../lib/interface/http.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import type { Checklist } from './checklist.ts'
import type { Rows } from './rows.ts'
import { credentialsOf } from './ways-in.ts'

const ID = '0b8f1c2e-5d3a-4f60-9a71-2c4d6e8f0a1b'
/** 32 bytes whose base64 has characters that the URL alphabet writes in another way. */
const BYTES = Buffer.alloc(32, 0xfb)
const KEY = BYTES.toString('base64')

/** What a KME may answer to Get key, and what becomes of it: the code of an error, or `key`. */
interface OddAnswer {
  readonly status?: number
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
  readonly becomes: 'key' | QkdErrorCode
}

const key = (fields: object) => JSON.stringify({ keys: [{ key_ID: ID, key: KEY, ...fields }] })

const oddAnswers: Readonly<Record<string, OddAnswer>> = {
  '401 in HTML': { status: 401, type: 'text/html', body: '<h1>No</h1>', becomes: 'ERR_QKD_UNAUTHORIZED' },
  '401 without a body': { status: 401, body: '', becomes: 'ERR_QKD_UNAUTHORIZED' },
  '422 with a detail': { status: 422, body: '{"detail":[{"loc":["size"]}]}', becomes: 'ERR_QKD_INVALID_ARGUMENT' },
  '403': { status: 403, body: '{"message":"no"}', becomes: 'ERR_QKD_UNAUTHORIZED' },
  '404': { status: 404, body: '{"message":"no such SAE"}', becomes: 'ERR_QKD_INVALID_ARGUMENT' },
  '503 with Retry-After': {
    status: 503,
    headers: { 'retry-after': '3' },
    body: '{"message":"later"}',
    becomes: 'ERR_QKD_POOL_EXHAUSTED',
  },
  'a key with a line break': { body: key({ key: `${KEY}\n` }), becomes: 'key' },
  'a key in the URL alphabet': { body: key({ key: BYTES.toString('base64url') }), becomes: 'ERR_QKD_KME_RESPONSE' },
  'a key that is too short': {
    body: key({ key: BYTES.subarray(1).toString('base64') }),
    becomes: 'ERR_QKD_KME_RESPONSE',
  },
  'an object in place of the list': {
    body: `{"keys":{"key_ID":"${ID}","key":"${KEY}"}}`,
    becomes: 'ERR_QKD_KME_RESPONSE',
  },
  'extensions that are null': { body: key({ key_ID_extension: null, key_extension: null }), becomes: 'key' },
}

export const clientRows: Rows<Checklist> = {
  '47 the client refuses a KME of another name before it asks': async () => {
    let requests = 0
    const handler: HttpHandler = async () => {
      requests += 1
      return { status: 200, headers: {}, body: Buffer.from(key({})) }
    }
    // Over TLS on either transport: in process there is no certificate of the KME to look at.
    await using server = createHttpsServer({ ...credentialsOf('kme-other'), handler })
    await server.listen()
    const tls = { baseUrl: server.url, ...credentialsOf('alice') }
    await using mistaken = createRemoteKms({ saeId: 'alice', expectedKmeId: 'kme-1', ...tls })
    const error = await rejectsWith(mistaken.getKey('bob'), 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: false }])
    expect(error.message).to.include('kme-1')
    expect(requests).to.equal(0)
    await using right = createRemoteKms({ saeId: 'alice', expectedKmeId: 'kme-other', ...tls })
    expect(await right.getKey('bob')).to.have.length(1)
    expect(requests).to.equal(1)
  },

  '50 the client takes odd answers or says what is wrong, and never asks twice': async ({ way }) => {
    for (const [name, { status = 200, type = 'application/json', headers, body, becomes }] of Object.entries(
      oddAnswers,
    )) {
      let requests = 0
      const stub: HttpHandler = async () => {
        requests += 1
        return { status, headers: { 'content-type': type, ...headers }, body: Buffer.from(body) }
      }
      await using served = await way.serve(stub, 'kme-stub')
      await using kms = createRemoteKms({ saeId: 'alice', transport: served.transportOf('alice') })
      const outcome = await kms.getKey('bob', { sizeBits: 256 }).then(
        keys => keys.map(({ secret }) => exportKey(secret)),
        (error: QkdError) => error.code,
      )
      expect(outcome, name).to.deep.equal(becomes === 'key' ? [BYTES] : becomes)
      expect(requests, name).to.equal(1)
    }
  },
}
