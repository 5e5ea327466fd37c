import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ClosedError } from '../errors.ts'
import type { HttpHandler } from '../interface/http.ts'
import type { Closable } from '../interface/lifecycle.ts'
import { type ListenAddress, listenOn } from '../util/listen.ts'

/** Options of `createPlainServer`. */
export interface PlainServerOptions {
  readonly handler: HttpHandler
  /** Address or name of a local interface. Default `127.0.0.1`. */
  readonly host?: string
  /** TCP port, 0 for a free one. Default 0. */
  readonly port?: number
}

/** A node:http server without TLS, for what holds no secrets and stays on the machine. Takes no bodies. */
export interface PlainServer extends Closable {
  listen(): Promise<ListenAddress>
  /** Where it listens; throws before `listen()`. */
  readonly address: ListenAddress
}

/** Binds a handler to node:http. Nothing listens before `listen()`. */
export function createPlainServer({ handler, host = '127.0.0.1', port = 0 }: PlainServerOptions): PlainServer {
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000, maxHeaderSize: 8 * 1024 })
  server.maxConnections = 64
  server.on('request', (request, response) => void serve(handler, request, response))
  return new NodePlainServer(server, { host, port })
}

class NodePlainServer implements PlainServer {
  readonly #server: Server
  readonly #at: { host: string; port: number }
  #address: ListenAddress | undefined
  #closing: Promise<void> | undefined

  constructor(server: Server, at: { host: string; port: number }) {
    this.#server = server
    this.#at = at
  }

  get address(): ListenAddress {
    if (this.#address === undefined) throw new ClosedError('Not listening yet: call listen() first')
    return this.#address
  }

  async listen(): Promise<ListenAddress> {
    this.#address = await listenOn(this.#server, this.#at, {})
    return this.#address
  }

  close(): Promise<void> {
    this.#closing ??= new Promise(resolve => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

async function serve(handler: HttpHandler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  request.resume()
  const { method = '', url: target = '/' } = request
  const answer = await handler({
    method,
    target,
    headers: headersOf(request),
    body: new Uint8Array(0),
    identity: undefined,
    signal: gone.signal,
  })
  const headers = { ...answer.headers, 'content-length': String(answer.body.byteLength) }
  response.writeHead(answer.status, headers).end(method === 'HEAD' ? undefined : answer.body)
}

/** The headers that stand once. */
function headersOf({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
