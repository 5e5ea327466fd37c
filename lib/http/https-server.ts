import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ClosedError } from '../errors.ts'
import type { CertificateIdentity, HttpHandler, HttpRequest, HttpResponse } from '../interface/http.ts'
import type { AbortOptions, Closable } from '../interface/lifecycle.ts'
import type { Logger } from '../interface/logger.ts'
import { delay, eitherSignal, requireInteger } from '../util/deadline.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { type ListenAddress, listenOn } from '../util/listen.ts'
import { mutualTlsOptions, type TlsCredentials } from '../util/tls-credentials.ts'
import { TlsSockets } from '../util/tls-sockets.ts'
import { KnownCertificates } from './known-certificates.ts'
import { type PskCredential, PskIdentities } from './psk-identities.ts'
import { readBody } from './request-body.ts'

/** Options of `createHttpsServer`. */
export interface HttpsServerOptions extends TlsCredentials {
  /** What answers. */
  readonly handler: HttpHandler
  /** Address or name of a local interface. Default `127.0.0.1`. */
  readonly host?: string
  /** TCP port, 0 for a free one. Default 0. */
  readonly port?: number
  /**
   * `required`: the handshake fails without a certificate that one of `ca` signed. `optional`: such a caller gets through
   * and the handler sees no identity, so that it can say in words what is missing. Default `required`.
   */
  readonly clientCertificate?: 'required' | 'optional'
  /** Callers that come by pre-shared key, on TLS 1.2 with ephemeral Diffie-Hellman, in place of a certificate. Default none. */
  readonly psk?: readonly PskCredential[]
  /** Lowest TLS version. Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** Largest request body, in bytes; a larger one is answered 413. Default 65,536. */
  readonly bodyLimitBytes?: number
  /** Connections at a time, handshakes included; further ones are dropped. Default 1,024. */
  readonly maxConnections?: number
  /** Requests at a time over all connections; further ones are answered 503. Default 4,096. */
  readonly maxRequests?: number
  /** How long a handshake may take, in milliseconds. Default 5,000. */
  readonly handshakeTimeoutMs?: number
  /** How long the whole of a request may take to arrive, in milliseconds. Default 10,000. */
  readonly requestTimeoutMs?: number
  /** How long a connection may be idle between two requests, in milliseconds. Default 65,000. */
  readonly keepAliveTimeoutMs?: number
  /** How long `close()` waits for running requests before it drops them, in milliseconds. Default 5,000. */
  readonly drainTimeoutMs?: number
  readonly logger?: Logger
}

/** A node:https server with mutual TLS in front of an `HttpHandler`. */
export interface HttpsServer extends Closable {
  /** Begins to listen and tells where. */
  listen(options?: AbortOptions): Promise<ListenAddress>
  /** Takes over a connection that another process has accepted, of which nothing was read yet. In place of `listen()`. */
  accept(socket: Socket): void
  /** Where it listens; throws before `listen()`. */
  readonly address: ListenAddress
  /** `https://host:port`, without a slash at the end; throws before `listen()`. */
  readonly url: string
}

/** Binds a handler to node:https. Nothing listens before `listen()`. */
export function createHttpsServer(options: HttpsServerOptions): HttpsServer {
  return new NodeHttpsServer(options)
}

class NodeHttpsServer implements HttpsServer {
  readonly #handler: HttpHandler
  readonly #server: Server
  readonly #sockets: TlsSockets
  readonly #listen: { host: string; port: number }
  readonly #bodyLimitBytes: number
  readonly #maxRequests: number
  readonly #maxConnections: number
  readonly #drainTimeoutMs: number
  readonly #logger: Logger
  readonly #psk: PskIdentities | undefined
  readonly #certificates = new KnownCertificates()
  readonly #connections = new WeakMap<TLSSocket, Connection>()
  #running = 0
  #accepting = false
  #address: ListenAddress | undefined
  #closing: Promise<void> | undefined

  constructor(options: HttpsServerOptions) {
    const { host = '127.0.0.1', port = 0, keepAliveTimeoutMs = 65_000, requestTimeoutMs = 10_000 } = options
    this.#handler = options.handler
    this.#listen = { host, port: requireInteger('port', port, { min: 0, max: 65_535 }) }
    this.#bodyLimitBytes = atLeastOne('bodyLimitBytes', options.bodyLimitBytes ?? 65_536)
    this.#maxRequests = atLeastOne('maxRequests', options.maxRequests ?? 4_096)
    this.#drainTimeoutMs = atLeastOne('drainTimeoutMs', options.drainTimeoutMs ?? 5_000)
    this.#logger = options.logger ?? debugLogger('http')
    this.#psk = options.psk && new PskIdentities(options.psk)
    const required = (options.clientCertificate ?? 'required') === 'required'
    this.#server = createServer({
      ...mutualTlsOptions(options, { minVersion: options.minVersion ?? 'TLSv1.2', server: true }),
      ...this.#psk?.tlsOptions,
      requestCert: true,
      // Node 24 takes a session under a pre-shared key for one that lacks a certificate, so with such keys we look ourselves.
      rejectUnauthorized: required && this.#psk === undefined,
      handshakeTimeout: atLeastOne('handshakeTimeoutMs', options.handshakeTimeoutMs ?? 5_000),
      keepAliveTimeout: atLeastOne('keepAliveTimeoutMs', keepAliveTimeoutMs),
      requestTimeout: atLeastOne('requestTimeoutMs', requestTimeoutMs),
      headersTimeout: requestTimeoutMs,
      // Node looks for requests that take too long only this often.
      connectionsCheckingInterval: Math.min(requestTimeoutMs, 1_000),
      maxHeaderSize: 16 * 1024,
      noDelay: true,
    })
    this.#maxConnections = atLeastOne('maxConnections', options.maxConnections ?? 1_024)
    this.#server.maxConnections = this.#maxConnections
    // Ahead of the listener that reads requests.
    if (required) this.#server.prependListener('secureConnection', socket => this.#requireKnown(socket))
    this.#sockets = new TlsSockets(this.#server)
    this.#server.on('request', (request, response) => void this.#serve(request, response))
    this.#server.on('tlsClientError', error => this.#logger.info({ reason: error.message }, 'handshake failed'))
  }

  get address(): ListenAddress {
    if (this.#address === undefined) throw new ClosedError('Not listening yet: call listen() first')
    return this.#address
  }

  get url(): string {
    const { host, port } = this.address
    return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  }

  async listen({ signal }: AbortOptions = {}): Promise<ListenAddress> {
    if (this.#closing !== undefined) throw new ClosedError()
    this.#address = await listenOn(this.#server, this.#listen, { signal })
    return this.#address
  }

  accept(socket: Socket): void {
    if (this.#closing !== undefined || this.#sockets.size >= this.#maxConnections) {
      socket.destroy()
      return
    }
    // Node arms its watch over requests that take too long when a server begins to listen, which this one never does.
    if (this.#address === undefined && !this.#accepting) this.#server.emit('listening')
    this.#accepting = true
    this.#server.emit('connection', socket)
  }

  close({ signal }: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#drain(signal)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #drain(signal: AbortSignal | undefined): Promise<void> {
    const ended = new Promise<void>(resolve => this.#server.close(() => resolve()))
    // A server that never listened does not count its connections itself.
    const closed = ended.then(() => this.#sockets.whenEmpty())
    this.#sockets.destroyUnsecured()
    for (const socket of this.#sockets.secured) if (this.#connectionOf(socket).running === 0) socket.destroy()
    const force = new AbortController()
    const deadline = eitherSignal(signal, force.signal)
    const forced = delay(this.#drainTimeoutMs, { signal: deadline }).catch(() => {})
    await Promise.race([closed, forced])
    force.abort()
    this.#sockets.destroyAll()
    await closed
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const connection = this.#connectionOf(incoming.socket as TLSSocket)
    const gone = new AbortController()
    let response: HttpResponse | undefined
    this.#running += 1
    connection.running += 1
    outgoing.once('close', () => {
      this.#running -= 1
      connection.running -= 1
      // By now the socket has taken the body, or never will.
      if (response?.secret) response.body.fill(0)
      if (!outgoing.writableFinished) gone.abort(new ClosedError('The caller has gone'))
    })
    response = await this.#answer(incoming, connection, gone.signal)
    if (outgoing.destroyed) {
      if (response.secret) response.body.fill(0)
      return
    }
    const headers: Record<string, string | number> = { ...response.headers, 'content-length': response.body.byteLength }
    if (this.#closing !== undefined) headers.connection = 'close'
    outgoing.writeHead(response.status, headers)
    outgoing.end(response.body)
  }

  async #answer(incoming: IncomingMessage, connection: Connection, signal: AbortSignal): Promise<HttpResponse> {
    if (this.#running > this.#maxRequests) {
      return problem(503, 'The server has too many requests at a time', { 'retry-after': '1' })
    }
    const body = await readBody(incoming, this.#bodyLimitBytes)
    if (body === 'cut-off') return problem(400, 'The body is cut off')
    if (body === 'too-large') return problem(413, `The body is larger than ${this.#bodyLimitBytes} bytes`)
    const target = originForm(incoming.url ?? '')
    if (target === undefined) return problem(400, 'The request target must begin with /')
    const request: HttpRequest = {
      method: incoming.method ?? '',
      target,
      headers: incoming.headers as Record<string, string>,
      body,
      identity: connection.identity,
      remoteAddress: connection.remoteAddress,
      pskIdentity: connection.pskIdentity,
      signal,
    }
    try {
      return await this.#handler(request)
    } catch (error) {
      this.#logger.error({ reason: String(error) }, 'request failed')
      return problem(503, 'The server could not answer')
    }
  }

  /** Ends a connection that neither a certificate nor a pre-shared key has proven. */
  #requireKnown(socket: TLSSocket): void {
    if (socket.authorized || this.#psk?.identityOf(socket) !== undefined) return
    this.#logger.info({ reason: String(socket.authorizationError) }, 'connection without a certificate refused')
    socket.destroy()
  }

  #connectionOf(socket: TLSSocket): Connection {
    const known = this.#connections.get(socket)
    if (known !== undefined) return known
    // Read once for each connection: taking a certificate apart costs more than a request.
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
    const identity = certificate === undefined ? undefined : this.#certificates.identityOf(certificate)
    const pskIdentity = this.#psk?.identityOf(socket)
    const connection = { identity, pskIdentity, remoteAddress: socket.remoteAddress, running: 0 }
    this.#connections.set(socket, connection)
    return connection
  }
}

/** What is known of a connection: who is at its other end, and how many of its requests run. */
interface Connection {
  readonly identity: CertificateIdentity | undefined
  readonly pskIdentity: string | undefined
  readonly remoteAddress: string | undefined
  running: number
}

function atLeastOne(name: string, value: number): number {
  return requireInteger(name, value, { min: 1, max: 2 ** 31 - 1 })
}

/** Path and query of a request line, which may also name the whole URL (RFC 9112, 3.2.2). */
function originForm(target: string): string | undefined {
  if (target.startsWith('/')) return target
  const rest = /^https?:\/\/[^/?#]*(\/.*)$/i.exec(target)
  return rest?.[1]
}

/** A refusal by the binding itself, in the shape of ETSI's error body, which is plain enough for any client. */
function problem(status: number, message: string, headers: Record<string, string> = {}): HttpResponse {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: Buffer.from(JSON.stringify({ message })),
  }
}
