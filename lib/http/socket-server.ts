import { once } from 'node:events'
import { chmod, lstat, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { ConfigError } from '../errors.ts'
import type { HttpHandler, HttpResponse } from '../interface/http.ts'
import type { Closable } from '../interface/lifecycle.ts'
import { readBody } from './request-body.ts'

/** The kernel keeps the path of a socket in 108 bytes, one of them a zero. */
const MAX_PATH_BYTES = 107
const MAX_BODY_BYTES = 65_536
const MAX_CONNECTIONS = 64
const DRAIN_MS = 5_000

/** Options of `createSocketServer`. */
export interface SocketServerOptions {
  readonly path: string
  /** Who may write to the socket may connect: its owner, or the owner's group too. Default 0o600. */
  readonly mode?: 0o600 | 0o660
  readonly handler: HttpHandler
}

/** A node:http server at a unix socket: whoever may open it is who it is for. */
export interface SocketServer extends Closable {
  /**
   * Begins to listen, in the place of a socket that nobody listens at.
   * @throws {ConfigError} the path is too long or taken, or its directory could be written by others
   */
  listen(): Promise<void>
}

/** Binds a handler to a unix socket. Nothing listens before `listen()`. */
export function createSocketServer(options: SocketServerOptions): SocketServer {
  return new UnixSocketServer(options)
}

class UnixSocketServer implements SocketServer {
  readonly #options: SocketServerOptions
  readonly #server: Server
  readonly #running = new Set<Promise<void>>()
  #listening = false
  #closing: Promise<void> | undefined

  constructor(options: SocketServerOptions) {
    this.#options = options
    this.#server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 8 * 1024 })
    this.#server.maxConnections = MAX_CONNECTIONS
    this.#server.on('request', (request, response) => {
      const served = serve(options.handler, request, response).catch(() => {
        response.destroy()
      })
      this.#running.add(served)
      void served.finally(() => this.#running.delete(served))
    })
  }

  async listen(): Promise<void> {
    const { path, mode = 0o600 } = this.#options
    const directory = dirname(path)
    await requireOwnDirectory(directory)
    await requireFree(path)
    // Bound where nobody else can reach it, given its mode there, and only then moved to where it is looked for.
    const workshop = await mkdtemp(join(directory, '.s'))
    try {
      const bound = join(workshop, 's')
      if (Math.max(Buffer.byteLength(bound), Buffer.byteLength(path)) > MAX_PATH_BYTES)
        throw new ConfigError(`The path of socket ${path} is too long: take a directory nearer to the root`)
      this.#server.listen(bound)
      await once(this.#server, 'listening')
      await chmod(bound, mode)
      await rename(bound, path)
      this.#listening = true
    } catch (error) {
      this.#server.close()
      throw error
    } finally {
      await rm(workshop, { recursive: true, force: true })
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    if (!this.#listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await rm(this.#options.path, { force: true })
    const patience = setTimeout(() => this.#server.closeAllConnections(), DRAIN_MS)
    await Promise.all(this.#running)
    clearTimeout(patience)
    this.#server.closeAllConnections()
    await closed
  }
}

async function serve(handler: HttpHandler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  const body = await readBody(incoming, MAX_BODY_BYTES)
  if (body === 'cut-off') return
  const { method = '', url: target = '/' } = incoming
  const request = { method, target, headers: {}, identity: undefined, signal: gone.signal }
  const answer: HttpResponse =
    body === 'too-large'
      ? { status: 413, headers: {}, body: Buffer.from(`{"message":"The body is larger than ${MAX_BODY_BYTES} bytes"}`) }
      : await handler({ ...request, body })
  const headers = { ...answer.headers, 'content-length': String(answer.body.byteLength), connection: 'close' }
  await new Promise<void>(resolve => {
    outgoing.once('close', resolve)
    outgoing.writeHead(answer.status, headers).end(answer.body)
  })
}

/** Node can't ask the kernel who is at the other end, so the directory must keep others from putting a socket of theirs there. */
async function requireOwnDirectory(directory: string): Promise<void> {
  const stats = await stat(directory).catch((cause: Error) => {
    throw new ConfigError(`Directory ${directory} of the socket can't be read: ${cause.message}`, { cause })
  })
  const ownUid = process.getuid?.() ?? 0
  if (stats.uid !== ownUid && stats.uid !== 0)
    throw new ConfigError(`Directory ${directory} of the socket belongs to user ${stats.uid}, not to this one or root`)
  if ((stats.mode & 0o022) !== 0)
    throw new ConfigError(`Directory ${directory} of the socket can be written by others: chmod go-w ${directory}`)
}

async function requireFree(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats === undefined) return
  if (!stats.isSocket()) throw new ConfigError(`${path} is there already and no socket`)
  if (await answers(path)) throw new ConfigError(`Another process listens at ${path} already`)
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
