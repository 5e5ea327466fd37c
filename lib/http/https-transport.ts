import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createSecureContext } from 'node:tls'
import { ClosedError, InvalidArgumentError, KmeResponseError, KmeUnreachableError } from '../errors.ts'
import type { CertificateIdentity, HttpClientRequest, HttpResponse, HttpTransport } from '../interface/http.ts'
import { startDeadline } from '../util/call-deadline.ts'
import { requireInteger } from '../util/deadline.ts'
import { isLoopback } from '../util/ip-address.ts'
import { Slots } from '../util/slots.ts'
import { mutualTlsOptions, type TlsCredentials } from '../util/tls-credentials.ts'
import { isPostQuantumGroup } from '../util/tls-groups.ts'
import { KmeAgent } from './kme-connection.ts'
import { requireFingerprint, requireKmeId } from './kme-identity.ts'

/** Options of `createHttpsTransport`. */
export interface HttpsTransportOptions extends TlsCredentials {
  /** `https://host[:port][/prefix]`; the prefix stands before every target. */
  readonly baseUrl: string
  /** Name that the certificate must carry where it isn't the host of `baseUrl`. */
  readonly servername?: string
  /** The KME that must answer, by its certificate: common name, DNS name, or URI `urn:qkdkit:kme:<ID>`. Default any. */
  readonly expectedKmeId?: string
  /** SHA-256 of the certificate's DER, lower-case hex without colons: this one and no other. Default any. */
  readonly expectedFingerprint256?: string
  /** A further look at the KME's certificate, before a request leaves; false refuses it. */
  readonly checkPeer?: (identity: CertificateIdentity) => boolean
  /** Lowest TLS version. Default `TLSv1.2`, as the standard has it. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** How long to wait for a free connection, and again for the whole answer, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number
  /** How long TCP and TLS may take to connect, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number
  /**
   * When an unused connection is closed, in milliseconds. Default 4,000: sooner than any common server closes it, because
   * a request on a connection that the other end is closing is lost and can't be repeated.
   */
  readonly idleTimeoutMs?: number
  /** Connections, and so requests, at a time. Default 16. */
  readonly maxConnections?: number
  /** Requests that may wait for a connection; further ones are refused. Default 1,024. */
  readonly maxWaiting?: number
  /** Largest answer, in bytes. Default 8 MiB. */
  readonly maxResponseBytes?: number
  /** Takes `http://` too where the host is this machine itself, for KMEs without TLS. Default false. */
  readonly plainLoopback?: boolean
}

/** An `HttpTransport` that can tell how safe its connections are against a recording. */
export interface HttpsTransport extends HttpTransport {
  /** Key exchange group of the newest connection; undefined before the first. */
  readonly group: string | undefined
  /** True where that group has ML-KEM. */
  readonly postQuantum: boolean
}

/** The way to one KME over node:https with mutual TLS. Connects on demand, keeps connections, never retries. */
export function createHttpsTransport(options: HttpsTransportOptions): HttpsTransport {
  return new NodeHttpsTransport(options)
}

class NodeHttpsTransport implements HttpsTransport {
  readonly #origin: Origin
  readonly #agent: KmeAgent
  readonly #slots: Slots
  readonly #maxPending: number
  readonly #maxResponseBytes: number
  readonly #timeoutMs: number
  readonly #running = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(options: HttpsTransportOptions) {
    const { expectedKmeId, expectedFingerprint256, checkPeer, minVersion = 'TLSv1.2' } = options
    const maxConnections = positive('maxConnections', options.maxConnections ?? 16)
    this.#origin = parseBaseUrl(options.baseUrl, { plainLoopback: options.plainLoopback ?? false })
    this.#slots = new Slots(maxConnections)
    this.#maxPending = maxConnections + positive('maxWaiting', options.maxWaiting ?? 1_024)
    this.#maxResponseBytes = positive('maxResponseBytes', options.maxResponseBytes ?? 8 * 1024 * 1024)
    this.#timeoutMs = positive('timeoutMs', options.timeoutMs ?? 10_000)
    this.#agent = new KmeAgent({
      host: this.#origin.host,
      port: this.#origin.port,
      servername: options.servername,
      plain: this.#origin.plain,
      secureContext: createSecureContext(mutualTlsOptions(options, { minVersion, server: false })),
      connectTimeoutMs: positive('connectTimeoutMs', options.connectTimeoutMs ?? 5_000),
      idleTimeoutMs: positive('idleTimeoutMs', options.idleTimeoutMs ?? 4_000),
      maxConnections,
      checkPeer: identity => {
        if (expectedKmeId !== undefined) requireKmeId(identity, expectedKmeId)
        if (expectedFingerprint256 !== undefined) requireFingerprint(identity, expectedFingerprint256)
        if (checkPeer?.(identity) === false) throw new Error('The certificate was refused by checkPeer')
      },
    })
  }

  get group(): string | undefined {
    return this.#agent.group
  }

  get postQuantum(): boolean {
    return isPostQuantumGroup(this.#agent.group)
  }

  async request(request: HttpClientRequest): Promise<HttpResponse> {
    if (this.#closing !== undefined) throw new ClosedError('The transport is closed')
    request.signal?.throwIfAborted()
    if (this.#running.size >= this.#maxPending) throw this.#unreachable(new Error('too many requests wait'), false)
    const answer = this.#inTurn(request)
    this.#running.add(answer)
    try {
      return await answer
    } finally {
      this.#running.delete(answer)
    }
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#running).then(() => this.#agent.destroy())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #inTurn(request: HttpClientRequest): Promise<HttpResponse> {
    let sent = false
    try {
      await this.#slot(request.signal)
      try {
        await this.#agent.settled()
        request.signal?.throwIfAborted()
        return await this.#exchange(request, () => {
          sent = true
        })
      } finally {
        this.#slots.release()
      }
    } catch (error) {
      request.signal?.throwIfAborted()
      if (error instanceof KmeResponseError) throw error
      throw this.#unreachable(error, sent && !refusesCertificate(error))
    }
  }

  async #slot(signal: AbortSignal | undefined): Promise<void> {
    if (this.#slots.tryAcquire()) return
    using deadline = startDeadline(signal, this.#timeoutMs)
    await this.#slots.acquire({ signal: deadline.signal })
  }

  #exchange(request: HttpClientRequest, onSent: () => void): Promise<HttpResponse> {
    const { method, target, headers, body, signal } = request
    const { host, port, prefix } = this.#origin
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': body.byteLength }
      const outgoing: ClientRequest = httpsRequest({
        agent: this.#agent,
        host,
        port,
        method,
        path: prefix + target,
        headers: { ...headers, ...length },
      })
      const onAbort = () => outgoing.destroy(signal?.reason as Error)
      const onTimeout = () => outgoing.destroy(new Error(`no answer within ${this.#timeoutMs} ms`))
      const timer = setTimeout(onTimeout, this.#timeoutMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      outgoing.once('socket', onSent)
      outgoing.once('close', () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        // A change of protocol is neither a response nor an error.
        if (!answered) reject(new Error('The connection was closed without an answer'))
      })
      outgoing.on('error', reject)
      let answered = false
      outgoing.once('response', incoming => {
        answered = true
        readResponse(incoming, this.#maxResponseBytes).then(resolve, reject)
      })
      outgoing.end(body)
    })
  }

  #unreachable(cause: unknown, sent: boolean): KmeUnreachableError {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const what = sent ? 'sent a request and got no answer' : 'could not be reached'
    return new KmeUnreachableError(`KME at ${this.#origin.name} ${what}: ${reason}`, { cause, details: [{ sent }] })
  }
}

/**
 * True for the TLS alerts by which a server refuses the client's certificate. In TLS 1.3 they come after the client's side of
 * the handshake is done and the request is under way, but who sends one has not read it.
 */
function refusesCertificate(error: unknown): boolean {
  const code = String((error as NodeJS.ErrnoException).code)
  return /^ERR_SSL_.*ALERT_(.*CERTIFICATE.*|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)$/.test(code)
}

function readResponse(incoming: IncomingMessage, maxBytes: number): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    const fail = (error: Error) => {
      for (const chunk of chunks) chunk.fill(0)
      reject(error)
    }
    incoming.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.byteLength
      chunks.push(chunk)
      if (sizeBytes <= maxBytes) return
      fail(new KmeResponseError(`The KME's answer is larger than ${maxBytes} bytes`))
      incoming.destroy()
    })
    incoming.once('error', fail)
    incoming.once('close', () => fail(new Error('The answer was cut off')))
    incoming.once('end', () => {
      const body = joinAndWipe(chunks, sizeBytes)
      chunks.length = 0
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers as Record<string, string>, body })
    })
  })
}

/** One buffer of all chunks, which may hold key bytes and so are wiped. */
function joinAndWipe(chunks: Buffer[], sizeBytes: number): Buffer {
  if (chunks.length === 1 && chunks[0] !== undefined) return chunks[0]
  const body = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.byteLength
    chunk.fill(0)
  }
  return body
}

/** Where the server is. */
interface Origin {
  readonly host: string
  readonly port: number
  readonly prefix: string
  readonly name: string
  readonly plain: boolean
}

function parseBaseUrl(baseUrl: string, { plainLoopback }: { plainLoopback: boolean }): Origin {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  const plain = url?.protocol === 'http:' && plainLoopback && isLoopback(url.hostname)
  if (
    url === undefined ||
    (url.protocol !== 'https:' && !plain) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== ''
  ) {
    throw new InvalidArgumentError('baseUrl must be https://host[:port][/prefix] without user, query and fragment')
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (plain ? 80 : 443) : Number(url.port),
    prefix: url.pathname.replace(/\/+$/, ''),
    name: url.origin,
    plain,
  }
}

function positive(name: string, value: number): number {
  return requireInteger(name, value, { min: 1, max: 2 ** 31 - 1 })
}
