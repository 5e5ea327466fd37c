import type { QkdErrorCode } from '../../../lib/errors.ts'
import { draw, entryOf } from './standard.ts'
import type { ZooBehaviour, ZooReply } from './zoo-kme.ts'

/** An answer to each of the three methods, and what a client must make of it: a code, or nothing wrong. */
export interface ReplyCase {
  readonly reply: ZooReply | ZooBehaviour
  readonly enc: QkdErrorCode | 'keys'
  readonly dec: QkdErrorCode | 'keys'
}

const HTML = '<!DOCTYPE html><html><body><h1>Error</h1></body></html>'
const refusal = (status: number, body: unknown, enc: QkdErrorCode, dec: QkdErrorCode = enc): ReplyCase => ({
  reply: { status, body },
  enc,
  dec,
})

/** Gives each key as `change` makes of it. */
const changed =
  (change: (entry: { key_ID: string; key: string }, bytes: Buffer) => unknown): ZooBehaviour =>
  (request, keys) => {
    const keyId = request.query.get('key_ID') ?? undefined
    const pair = { masterSaeId: request.caller, slaveSaeId: request.saeId }
    const key =
      keyId === undefined ? draw(request, keys, { number: 1, sizeBits: 256 })[0]! : keys.issue(pair, { keyId })
    return { body: { keys: [change(entryOf(key), key.bytes)] } }
  }
const spoiled = (change: (entry: { key_ID: string; key: string }, bytes: Buffer) => unknown): ReplyCase => ({
  reply: changed(change),
  enc: 'ERR_QKD_KME_RESPONSE',
  dec: 'ERR_QKD_KME_RESPONSE',
})
const tolerated = (change: (entry: { key_ID: string; key: string }, bytes: Buffer) => unknown): ReplyCase => ({
  reply: changed(change),
  enc: 'keys',
  dec: 'keys',
})

/** Answers of KMEs that were seen, or that the standard leaves room for (checklist, row 50). */
export const replyCases: Readonly<Record<string, ReplyCase>> = {
  'an HTML 401': refusal(401, HTML, 'ERR_QKD_UNAUTHORIZED'),
  'an empty 401': refusal(401, '', 'ERR_QKD_UNAUTHORIZED'),
  'an HTML 400': refusal(400, HTML, 'ERR_QKD_INVALID_ARGUMENT'),
  'an HTML 500': refusal(500, HTML, 'ERR_QKD_KME_RESPONSE'),
  'a 422 with a list of details': refusal(
    422,
    { detail: [{ loc: ['size'], msg: 'too large' }] },
    'ERR_QKD_INVALID_ARGUMENT',
  ),
  'a 403': refusal(403, { message: 'Key expired' }, 'ERR_QKD_UNAUTHORIZED', 'ERR_QKD_KEY_NOT_FOUND'),
  'a 404': refusal(404, { detail: 'Not Found' }, 'ERR_QKD_INVALID_ARGUMENT', 'ERR_QKD_KEY_NOT_FOUND'),
  'a 405': refusal(405, '', 'ERR_QKD_INVALID_ARGUMENT'),
  'a 408': refusal(408, '', 'ERR_QKD_KME_UNREACHABLE'),
  'a 409': refusal(409, '', 'ERR_QKD_KME_RESPONSE'),
  'a 413': refusal(413, '', 'ERR_QKD_INVALID_ARGUMENT'),
  'a 415': refusal(415, '', 'ERR_QKD_INVALID_ARGUMENT'),
  'a 429': refusal(429, '', 'ERR_QKD_POOL_EXHAUSTED', 'ERR_QKD_KME_UNREACHABLE'),
  'a 502': refusal(502, HTML, 'ERR_QKD_KME_UNREACHABLE'),
  'an empty 503': refusal(503, '', 'ERR_QKD_POOL_EXHAUSTED', 'ERR_QKD_KME_UNREACHABLE'),
  'a 504': refusal(504, '', 'ERR_QKD_KME_UNREACHABLE'),
  'a redirect': {
    reply: { status: 307, headers: { location: '/api/v1/keys/bob/enc_keys' } },
    enc: 'ERR_QKD_KME_RESPONSE',
    dec: 'ERR_QKD_KME_RESPONSE',
  },
  'an empty 200': refusal(200, '', 'ERR_QKD_KME_RESPONSE'),
  'a login page': refusal(200, HTML, 'ERR_QKD_KME_RESPONSE'),
  'JSON that breaks off': refusal(200, '{"keys":[{"key_ID":"a","key":"', 'ERR_QKD_KME_RESPONSE'),
  'no keys': refusal(200, { keys: [] }, 'ERR_QKD_KME_RESPONSE'),
  'another document': refusal(200, { status: 'ok' }, 'ERR_QKD_KME_RESPONSE'),
  'null for keys': refusal(200, { keys: null }, 'ERR_QKD_KME_RESPONSE'),
  'a key with a line feed': tolerated(entry => ({ ...entry, key: `${entry.key}\n` })),
  'null extensions': tolerated(entry => ({ ...entry, key_extension: null, key_ID_extension: null })),
  'members of its own': tolerated(entry => ({ vendor_quality: 0.97, ...entry })),
  'an ID in upper case': tolerated(entry => ({ ...entry, key_ID: entry.key_ID.toUpperCase() })),
  'a key in the URL alphabet': spoiled(entry => ({ ...entry, key: `${entry.key.slice(0, -2)}_=` })),
  'a key without padding': spoiled(entry => ({ ...entry, key: entry.key.replace(/=+$/, '') })),
  'a key in hex': spoiled((entry, bytes) => ({ ...entry, key: `${bytes.toString('hex')}0` })),
  'a key that is empty': spoiled(entry => ({ ...entry, key: '' })),
  'a key that is a number': spoiled(entry => ({ ...entry, key: 7 })),
  'no key at all': spoiled(({ key_ID: keyId }) => ({ key_ID: keyId })),
  'no ID': spoiled(({ key }) => ({ key })),
}
