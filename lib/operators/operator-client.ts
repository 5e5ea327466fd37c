import { createQkdError, isQkdErrorCode, KmeResponseError } from '../errors.ts'
import type { HttpTransport } from '../interface/http.ts'
import type { AbortOptions, Closable } from '../interface/lifecycle.ts'
import type { OperatorCallName } from '../interface/operator.ts'
import { CALL_PATH } from './operator-handler.ts'

/** An operator's end of the way to a site. */
export interface OperatorClient extends Closable {
  /**
   * Makes a call and gives what it gives.
   * @throws {UnauthorizedError} the caller has no role for it
   * @throws {InvalidArgumentError} the site has no such call, or it takes other arguments
   * @throws {KmeUnreachableError} the site does not answer; whether the call was made stands in `details`
   */
  call<T>(name: OperatorCallName, args?: Readonly<Record<string, unknown>>, options?: AbortOptions): Promise<T>
}

/** Makes calls over `transport`, which it closes. */
export function createOperatorClient(transport: HttpTransport): OperatorClient {
  const close = () => transport.close()
  return {
    call: (name, args = {}, options = {}) => call(transport, name, { args, ...options }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function call<T>(
  transport: HttpTransport,
  name: OperatorCallName,
  { args, signal }: { args: Readonly<Record<string, unknown>> } & AbortOptions,
): Promise<T> {
  const body = Buffer.from(JSON.stringify(args))
  const headers = { 'content-type': 'application/json', 'content-length': String(body.byteLength) }
  const target = `${CALL_PATH}${name}`
  const answer = await transport.request({ method: 'POST', target, headers, body, ...(signal && { signal }) })
  const value = parse(answer.body)
  if (answer.status === 200 && typeof value === 'object' && value !== null && 'result' in value)
    return value.result as T
  const { code, message, details } = (value ?? {}) as { code?: unknown; message?: unknown; details?: unknown }
  const text = typeof message === 'string' ? message : `The site answered ${answer.status}`
  if (!isQkdErrorCode(code)) throw new KmeResponseError(text)
  throw createQkdError(code, text, { details: Array.isArray(details) ? details : [] })
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
}
