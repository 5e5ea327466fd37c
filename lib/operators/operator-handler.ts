import { InvalidArgumentError, QkdError, type QkdErrorCode, UnauthorizedError } from '../errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../interface/http.ts'
import type { Logger } from '../interface/logger.ts'
import type { OperatorCalls, OperatorIdentity } from '../interface/operator.ts'

/** Before the name of each call. */
export const CALL_PATH = '/operator/v1/'

const STATUS: Partial<Record<QkdErrorCode, number>> = {
  ERR_QKD_INVALID_ARGUMENT: 400,
  ERR_QKD_CONFIG: 400,
  ERR_QKD_POLICY_DENIED: 400,
  ERR_QKD_UNAUTHORIZED: 403,
  ERR_QKD_KEY_NOT_FOUND: 404,
}

/** What answers operators over HTTP. */
export interface OperatorHandlerOptions {
  readonly calls: OperatorCalls
  /** Who has sent a request. */
  readonly identify: (request: HttpRequest) => OperatorIdentity
  readonly logger: Logger
}

/**
 * Calls of operators as `POST /operator/v1/<call>` with the arguments as a JSON object: `{"result": …}`, or `{"code", "message"}`
 * of the toolkit's errors. Nothing here is for a browser: other methods, media types and origins are refused.
 */
export function createOperatorHandler({ calls, identify, logger }: OperatorHandlerOptions): HttpHandler {
  return async request => {
    try {
      const context = { operator: identify(request), signal: request.signal }
      const fault = faultOf(request)
      if (fault !== undefined) await calls.refuse(request.target, fault, context)
      const name = request.target.slice(CALL_PATH.length)
      const result = await calls.perform(name, argumentsOf(request), context)
      return json(200, { result: result ?? null })
    } catch (error) {
      if (error instanceof QkdError) {
        const { code, message, details } = error
        return json(STATUS[code] ?? 503, { code, message, details })
      }
      logger.error({ reason: String(error) }, 'an operator call failed')
      return json(500, { message: 'The call failed; the log of the site says why' })
    }
  }
}

/** Why a request can be no call at all. */
function faultOf({ method, target, headers }: HttpRequest): QkdError | undefined {
  if (!target.startsWith(CALL_PATH)) return new InvalidArgumentError(`Calls are below ${CALL_PATH}`)
  if (method !== 'POST') return new InvalidArgumentError('Calls are made by POST')
  // A page in a browser that holds an operator's certificate must not be able to make calls.
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined)
    return new UnauthorizedError('Calls are not for browsers')
  if (/^[a-z-]{1,64}$/.test(target.slice(CALL_PATH.length))) return undefined
  return new InvalidArgumentError('A call has small letters and "-" in its name')
}

/** What the caller sent; undefined, which no call takes, where it is no JSON. */
function argumentsOf({ body }: HttpRequest): unknown {
  if (body.byteLength === 0) return {}
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
}

function json(status: number, value: unknown): HttpResponse {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  return { status, headers, body: Buffer.from(`${JSON.stringify(value)}\n`) }
}
