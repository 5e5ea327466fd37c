import { QkdError, type QkdErrorCode } from '../errors.ts'
import type { HttpResponse } from '../interface/http.ts'
import { CODE_DETAIL, type EtsiError, MESSAGES } from './models.ts'

/** How the server tells an error of the KMS: the standard has 400, 401 and 503 (clause 5.2). */
interface ErrorRule {
  readonly status: 400 | 401 | 503
  /** Told in place of the error's own message, which may name things of this site. */
  readonly message?: string
}

/** What is not here is told as a failure of the server, without our code. */
const rules: Partial<Record<QkdErrorCode, ErrorRule>> = {
  ERR_QKD_INVALID_ARGUMENT: { status: 400 },
  ERR_QKD_KEY_NOT_FOUND: { status: 400, message: MESSAGES.keysNotFound },
  ERR_QKD_POLICY_DENIED: { status: 400 },
  ERR_QKD_UNAUTHORIZED: { status: 401 },
  ERR_QKD_POOL_EXHAUSTED: { status: 503 },
  ERR_QKD_NO_ROUTE: { status: 503 },
  ERR_QKD_LINK_DOWN: { status: 503 },
  ERR_QKD_POOL_DESYNC: { status: 503 },
  ERR_QKD_STORE: { status: 503, message: 'The store of the KME has failed' },
}

/** True for a code that a server of ours may tell in `details`. */
export function isWireCode(code: QkdErrorCode): boolean {
  return code in rules
}

/** Names of our arguments as the standard spells them. */
const parameterNames: Record<string, string> = {
  sizeBits: 'size',
  additionalSlaveSaeIds: 'additional_slave_SAE_IDs',
  slaveSaeId: 'slave_SAE_ID',
  masterSaeId: 'master_SAE_ID',
  keyIds: 'key_IDs',
}

const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

/** A response with an Error body (clause 6.5). */
export function errorBody(status: number, error: EtsiError, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers: { ...JSON_HEADERS, ...headers }, body: Buffer.from(JSON.stringify(error)) }
}

/** The response that tells `error`. Unknown, expired and delivered keys look alike to the byte. */
export function errorResponse(error: unknown, { exhaustionStatus }: { exhaustionStatus: 400 | 503 }): HttpResponse {
  const rule = error instanceof QkdError ? rules[error.code] : undefined
  if (!(error instanceof QkdError) || rule === undefined) {
    return errorBody(503, { message: 'The KME cannot answer now' }, { 'retry-after': '1' })
  }
  const status = error.code === 'ERR_QKD_POOL_EXHAUSTED' ? exhaustionStatus : rule.status
  const message = rule.message ?? error.message
  const details = [...(rule.message === undefined ? error.details.map(toWire) : []), { [CODE_DETAIL]: error.code }]
  const retryAfterSeconds = Math.max(1, Math.ceil((error.retryAfterMs ?? 1_000) / 1_000))
  return errorBody(status, { message, details }, rule.status === 503 ? { 'retry-after': `${retryAfterSeconds}` } : {})
}

function toWire(detail: Record<string, unknown>): Record<string, unknown> {
  const name = detail.parameter_name
  return typeof name === 'string' ? { ...detail, parameter_name: parameterNames[name] ?? name } : detail
}
