import {
  createQkdError,
  InvalidArgumentError,
  isQkdErrorCode,
  KeyNotFoundError,
  KmeResponseError,
  KmeUnreachableError,
  PolicyError,
  PoolExhaustedError,
  type QkdError,
  UnauthorizedError,
} from '../errors.ts'
import type { HttpResponse } from '../interface/http.ts'
import { isWireCode } from './error-response.ts'
import type { KmeRefusal } from './kme-profile.ts'
import { CODE_DETAIL, MESSAGES } from './models.ts'
import type { EtsiMethod } from './target.ts'

/** Longest message of a KME that is passed on, in characters. */
const MAX_MESSAGE_CHARS = 200
/** Most details that are passed on. */
const MAX_DETAILS = 128
const MAX_RETRY_AFTER_MS = 999_999_000
/** Said by a gateway that got no answer: whether the KME behind it has served the request, nobody knows. */
const OF_GATEWAYS = [502, 504]

/**
 * The error that a KME's refusal stands for. A KME of ours says in `details` what its KMS threw; of any other the status tells,
 * and for 400 the message, because the standard has one status for most refusals.
 */
export function responseError(
  response: HttpResponse,
  method: EtsiMethod,
  refusals: readonly KmeRefusal[] = [],
): QkdError {
  const body = parseErrorBody(response.body)
  const ours = body.details.map(detail => detail[CODE_DETAIL]).find(isQkdErrorCode)
  const known = refusals.find(refusal => refusal.method === method && refusal.status === response.status)
  const message = body.message ?? `The KME answered ${response.status}`
  const options = {
    details: [
      ...body.details.filter(detail => !(CODE_DETAIL in detail)),
      ...(OF_GATEWAYS.includes(response.status) ? [{ sent: true }] : []),
    ],
    retryAfterMs: retryAfterMs(response.headers['retry-after']),
  }
  if (ours !== undefined && isWireCode(ours)) return createQkdError(ours, message, options)
  if (known !== undefined) return createQkdError(known.code, message, options)
  return new (foreignClass(response.status, method, message))(message, options)
}

type ErrorClass = new (message: string, options: object) => QkdError

function foreignClass(status: number, method: EtsiMethod, message: string): ErrorClass {
  switch (status) {
    case 400:
      return badRequestClass(method, message)
    case 401:
      return UnauthorizedError
    case 403:
      // One hosted KME answers so for a key that has expired.
      return method === 'dec_keys' ? KeyNotFoundError : UnauthorizedError
    case 404:
      return method === 'dec_keys' ? KeyNotFoundError : InvalidArgumentError
    case 405:
    case 413:
    case 415:
    case 422:
      return InvalidArgumentError
    case 429:
    case 503:
      return method === 'enc_keys' ? PoolExhaustedError : KmeUnreachableError
    case 408:
    case 502:
    case 504:
      return KmeUnreachableError
    default:
      return KmeResponseError
  }
}

function badRequestClass(method: EtsiMethod, message: string): ErrorClass {
  if (method === 'dec_keys' && /not found/i.test(message)) return KeyNotFoundError
  if (message === MESSAGES.mandatoryUnmet) return PolicyError
  if (method === 'enc_keys' && /not enough key|exhausted|insufficient/i.test(message)) return PoolExhaustedError
  return InvalidArgumentError
}

/** What can be read of a body that may be anything: ETSI's Error, another project's, HTML, nothing. */
function parseErrorBody(body: Uint8Array): { message: string | undefined; details: Record<string, unknown>[] } {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    return { message: undefined, details: [] }
  }
  if (!isObject(value)) return { message: undefined, details: [] }
  const faults = Array.isArray(value.detail) ? value.detail.filter(isObject) : []
  const words = faults.map(fault => fault.msg).filter(text => typeof text === 'string')
  const message = [value.message, value.detail, value.error, words.join('; ')].find(isText)
  const details = Array.isArray(value.details) ? value.details : [value.details, ...faults]
  return { message: message?.slice(0, MAX_MESSAGE_CHARS), details: details.filter(isObject).slice(0, MAX_DETAILS) }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,6}$/.test(header)) return Number(header) * 1_000
  const atMs = Date.parse(header)
  return Number.isNaN(atMs) ? undefined : Math.min(Math.max(0, atMs - Date.now()), MAX_RETRY_AFTER_MS)
}
