import { ClosedError } from '../errors.ts'
import type {
  CertificateIdentity,
  HttpClientRequest,
  HttpHandler,
  HttpResponse,
  HttpTransport,
} from '../interface/http.ts'
import { abortable } from '../util/deadline.ts'

const EMPTY = new Uint8Array(0)

/**
 * A transport that calls the handler in this process, as the client that `identity` names. Nothing is copied on a wire, so
 * nothing can be lost on one; all else is as over mTLS.
 */
export function createInProcessTransport(
  handler: HttpHandler,
  { identity }: { identity: CertificateIdentity | undefined },
): HttpTransport {
  return new InProcessTransport(handler, identity)
}

class InProcessTransport implements HttpTransport {
  readonly #handler: HttpHandler
  readonly #identity: CertificateIdentity | undefined
  readonly #running = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(handler: HttpHandler, identity: CertificateIdentity | undefined) {
    this.#handler = handler
    this.#identity = identity
  }

  async request({ method, target, headers = {}, body = EMPTY, signal }: HttpClientRequest): Promise<HttpResponse> {
    if (this.#closing !== undefined) throw new ClosedError('The transport is closed')
    signal?.throwIfAborted()
    const answer = this.#handler({
      method,
      target,
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
      body: Buffer.from(body),
      identity: this.#identity,
      signal: signal ?? new AbortController().signal,
    }).then(takeOver)
    this.#running.add(answer)
    answer.then(
      () => this.#running.delete(answer),
      () => this.#running.delete(answer),
    )
    return abortable(answer, { signal })
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#running).then(() => {})
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The response as a client on a wire would have it: bytes of its own, the handler's wiped. */
function takeOver(response: HttpResponse): HttpResponse {
  const body = Buffer.allocUnsafeSlow(response.body.byteLength)
  body.set(response.body)
  if (response.secret) response.body.fill(0)
  return { ...response, body }
}
