import { QkdError, type QkdErrorCode } from '../errors.ts'
import type { HttpResponse } from '../interface/http.ts'

const HEADERS = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' }

/** A refusal (RFC 9457); `details` is a map of strings. */
export function problem(
  status: number,
  detail: string,
  details: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  const body = { type: 'about:blank', title: TITLES[status] ?? 'Error', status, detail, details }
  return { status, headers: { ...HEADERS, ...headers }, body: Buffer.from(JSON.stringify(body)) }
}

/** A JSON answer. */
export function answer(status: number, value: unknown): HttpResponse {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  return { status, headers, body: value === undefined ? new Uint8Array(0) : Buffer.from(JSON.stringify(value)) }
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  503: 'Service Unavailable',
}

const statuses: Partial<Record<QkdErrorCode, number>> = {
  ERR_QKD_INVALID_ARGUMENT: 400,
  ERR_QKD_UNAUTHORIZED: 401,
}

/** What a failure is told as: what is not the caller's fault is one of the server. */
export function problemOf(error: unknown): HttpResponse {
  const status = error instanceof QkdError ? (statuses[error.code] ?? 503) : 503
  if (status === 503) return problem(503, 'The KME cannot do so now', {}, { 'retry-after': '1' })
  return problem(status, (error as Error).message)
}
