import { QkdError, type QkdErrorCode } from '../errors.ts'
import type { HttpResponse } from '../interface/http.ts'

const HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

/** A refusal; the draft leaves its body open, and `error` is what servers in the field have. */
export function refusal(status: number, error: string, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  return { status, headers: { ...HEADERS, ...headers }, body: Buffer.from(JSON.stringify({ error })) }
}

/** A JSON answer; `secret` where it holds key or random bytes. */
export function answer(body: Uint8Array, { secret = false } = {}): HttpResponse {
  return { status: 200, headers: HEADERS, body, secret }
}

/** The draft has 400 for a keyId that is malformed or not found, 500 and 503; 401 is what HTTP has for a stranger. */
const statuses: Partial<Record<QkdErrorCode, number>> = {
  ERR_QKD_INVALID_ARGUMENT: 400,
  ERR_QKD_KEY_NOT_FOUND: 400,
  ERR_QKD_POLICY_DENIED: 400,
  ERR_QKD_UNAUTHORIZED: 401,
  ERR_QKD_STORE: 500,
}

/** The response that tells why there is no key. */
export function refusalOf(error: unknown): HttpResponse {
  const status = error instanceof QkdError ? (statuses[error.code] ?? 503) : 503
  if (!(error instanceof QkdError) || status === 500) {
    return refusal(status, 'The key provider cannot answer now', status === 503 ? { 'retry-after': '1' } : {})
  }
  if (error.code === 'ERR_QKD_KEY_NOT_FOUND') return refusal(400, 'Key not found')
  const retryAfterSeconds = Math.max(1, Math.ceil((error.retryAfterMs ?? 1_000) / 1_000))
  return refusal(status, error.message, status === 503 ? { 'retry-after': `${retryAfterSeconds}` } : {})
}
