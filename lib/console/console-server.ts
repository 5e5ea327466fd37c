import { X509Certificate } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { ClosedError, InvalidArgumentError } from '../errors.ts'
import type { CertificateIdentity } from '../interface/http.ts'
import type { Closable } from '../interface/lifecycle.ts'
import { certificateIdentity } from '../util/certificate-identity.ts'
import { isLoopback } from '../util/ip-address.ts'
import { type ListenAddress, listenOn } from '../util/listen.ts'
import { mutualTlsOptions } from '../util/tls-credentials.ts'
import { TlsSockets } from '../util/tls-sockets.ts'
import type { ConsoleFeed } from './console-feed.ts'
import { EventStreams } from './event-streams.ts'
import { type PageFile, readPageFiles } from './page-files.ts'
import { hostRefusal, originRefusal, pageHeaders, type Refusal } from './request-rules.ts'

/** Who is let in by certificate, and what the server shows of itself. */
export interface ConsoleTls {
  readonly cert: string
  readonly key: string
  /** Authority that signed the viewers' certificates. */
  readonly ca: string
  readonly isViewer: (identity: CertificateIdentity) => boolean
}

/** Options of `createConsoleServer`. */
export interface ConsoleServerOptions {
  readonly feed: ConsoleFeed
  readonly host: string
  /** TCP port, 0 for a free one. */
  readonly port: number
  /** Without it plain HTTP, and that on a loopback address alone. */
  readonly tls?: ConsoleTls | undefined
  /** Browsers that are served at a time, 1 to 1,000. Default 16. */
  readonly maxClients?: number
}

/** The server of the console's page; what feeds it is closed with it. */
export interface ConsoleServer extends Closable {
  listen(): Promise<ListenAddress>
  /** Where a browser finds it; throws before `listen()`. */
  readonly url: string
}

/**
 * Serves the page and its stream of events. Nothing listens before `listen()`.
 * @throws {InvalidArgumentError} the address is not this machine's own and there are no client certificates
 */
export function createConsoleServer(options: ConsoleServerOptions): ConsoleServer {
  if (options.tls === undefined && !isLoopback(options.host)) {
    throw new InvalidArgumentError(
      `The console at "${options.host}" would be open to the network: name a loopback address, or who may see it by certificate (viewers)`,
    )
  }
  return new NodeConsoleServer(options)
}

class NodeConsoleServer implements ConsoleServer {
  readonly #options: ConsoleServerOptions
  readonly #server: Server
  readonly #certificate: X509Certificate | undefined
  readonly #streams: EventStreams
  /** With TLS also connections whose handshake never ends. */
  readonly #sockets: TlsSockets | undefined
  #files: ReadonlyMap<string, PageFile> = new Map()
  #address: ListenAddress | undefined
  #closing: Promise<void> | undefined

  constructor(options: ConsoleServerOptions) {
    this.#options = options
    const { tls, feed, maxClients = 16 } = options
    this.#streams = new EventStreams({ feed, most: maxClients })
    this.#certificate = tls && new X509Certificate(tls.cert)
    const limits = { requestTimeout: 5_000, headersTimeout: 5_000, maxHeaderSize: 8 * 1024, keepAliveTimeout: 5_000 }
    this.#server =
      tls === undefined
        ? createServer(limits)
        : createTlsServer({
            ...mutualTlsOptions(tls, { minVersion: 'TLSv1.2', server: true }),
            ...limits,
            requestCert: true,
            rejectUnauthorized: true,
            handshakeTimeout: 5_000,
          })
    this.#sockets = tls && new TlsSockets(this.#server as TlsServer)
    this.#server.maxConnections = 4 * maxClients + 64
    this.#server.on('request', (request, response) => {
      this.#serve(request, response).catch(() => response.destroy())
    })
  }

  get url(): string {
    if (this.#address === undefined) throw new ClosedError('Not listening yet: call listen() first')
    const { host, port } = this.#address
    return `${this.#options.tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}/`
  }

  async listen(): Promise<ListenAddress> {
    const { host, port, tls } = this.#options
    this.#files = await readPageFiles()
    const address = await listenOn(this.#server, { host, port })
    // `localhost` is a name, and names can be pointed elsewhere.
    if (tls === undefined && !isLoopback(address.host)) {
      await this.close()
      throw new InvalidArgumentError(`"${host}" is ${address.host} here, which is no loopback address`)
    }
    this.#address = address
    return address
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#streams.close()
      const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
      this.#server.closeAllConnections()
      this.#sockets?.destroyAll()
      await closed
      await this.#options.feed.close()
    })()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume()
    const path = (request.url ?? '').split('?')[0]!
    const refusal = this.#refusal(request, path)
    if (refusal !== undefined) return refuse(response, refusal)
    if (path === '/events') return this.#streams.open(response)
    const file = this.#files.get(path)
    if (file === undefined) return refuse(response, { status: 404, text: 'Not found' })
    const zipped = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
    const body = zipped ? file.gzip : file.body
    const encoding = zipped ? { 'content-encoding': 'gzip' } : {}
    response
      .writeHead(200, { ...pageHeaders, ...encoding, 'content-type': file.type, 'content-length': body.byteLength })
      .end(body)
  }

  #refusal(request: IncomingMessage, path: string): Refusal | undefined {
    const { headers } = request
    const wrongHost = hostRefusal(headers, this.#certificate)
    if (wrongHost !== undefined) return wrongHost
    const { tls } = this.#options
    if (tls !== undefined && !tls.isViewer(identityOf(request.socket as TLSSocket))) {
      return { status: 403, text: "The certificate is not one of the console's viewers" }
    }
    if (request.method !== 'GET') return { status: 405, text: 'GET only' }
    return originRefusal(headers, path)
  }
}

function identityOf(socket: TLSSocket): CertificateIdentity {
  // The handshake fails without a certificate that the authority signed.
  return certificateIdentity(socket.getPeerX509Certificate()!)
}

function refuse(response: ServerResponse, { status, text }: Refusal): void {
  const allow = status === 405 ? { allow: 'GET' } : {}
  const body = Buffer.from(`${text}\n`)
  response
    .writeHead(status, {
      ...pageHeaders,
      ...allow,
      'content-type': 'text/plain; charset=utf-8',
      'content-length': body.byteLength,
    })
    .end(body)
}
