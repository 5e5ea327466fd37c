import { createServer, type Server, type Socket } from 'node:net'
import {
  type AbortOptions,
  type Closable,
  ClosedError,
  debugLogger,
  type Logger,
  requireInteger,
} from '../../lib/index.ts'
import { type KeyReply, type KeyRequest, MAX_REQUEST_BYTES, MAX_VALID_MS, readRequest, writeReply } from './key-wire.ts'
import type { KvnoEntry, KvnoLookup } from './kvno-table.ts'
import { listenPrivately, removeSocket, type SocketMode } from './private-socket.ts'

/** Options of `createKeyServer`. */
export interface KeyServerOptions {
  /** Path of the unix socket; only its owner may be able to write to its directory. */
  readonly socketPath: string
  /** 0o600 (the default) where agent and KDC run as one user, 0o660 where they share a group. */
  readonly socketMode?: SocketMode
  /**
   * Gives the key of one ticket, used up by that: the next announced version, made current. Called only for requests that
   * the KDC has authenticated, and only for principals with the string attribute `qkd` set to `ticket`. Default none: such
   * requests are refused.
   */
  readonly issueTicketKey?: (principal: string) => KvnoEntry | undefined | Promise<KvnoEntry | undefined>
  /**
   * How long a KDC may go on with a key without asking again, in milliseconds, 0 to 1000; default 1000. So long a version
   * is used after it was superseded, and so long it outlives its end at most.
   */
  readonly validMs?: number
  /** KDC processes connected at a time; further ones are dropped. 1 to 1024, default 64. */
  readonly maxConnections?: number
  /** Default the system's clock. */
  readonly now?: () => number
  /** Default: silent unless NODE_DEBUG=qkd:kerberos asks for it. */
  readonly logger?: Logger
}

/** What a key server has done since it was made. */
export interface KeyServerCounters {
  /** Requests that got a key. */
  readonly served: number
  /** Requests that got none. */
  readonly refused: number
  /** Of the served ones, those that used a key up. */
  readonly issued: number
  /** Connections that were cut because of what came over them. */
  readonly malformed: number
}

/** The end of the KDC's socket at the agent. */
export interface KeyServer extends Closable {
  /**
   * Begins to listen.
   * @throws {ConfigError} others may write to the socket's directory, its path is taken, or another process listens there
   */
  listen(options?: AbortOptions): Promise<void>
  counters(): KeyServerCounters
}

/**
 * Serves the keys of `keys` to KDCs of this site over a unix socket, on which the module `qkdkdb` asks. What it serves was
 * announced by the agents before; no request but that for a ticket's own key changes anything.
 */
export function createKeyServer(keys: KvnoLookup, options: KeyServerOptions): KeyServer {
  return new UnixKeyServer(keys, options)
}

class UnixKeyServer implements KeyServer {
  readonly #keys: KvnoLookup
  readonly #options: KeyServerOptions
  readonly #validMs: number
  readonly #now: () => number
  readonly #logger: Logger
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Connections that wait for a ticket's key. */
  readonly #issuing = new WeakSet<Socket>()
  readonly #counts = { served: 0, refused: 0, issued: 0, malformed: 0 }
  #closing: Promise<void> | undefined

  constructor(keys: KvnoLookup, options: KeyServerOptions) {
    const { validMs = MAX_VALID_MS, maxConnections = 64, now = Date.now, logger = debugLogger('kerberos') } = options
    this.#keys = keys
    this.#options = options
    this.#validMs = requireInteger('validMs', validMs, { min: 0, max: MAX_VALID_MS })
    this.#now = now
    this.#logger = logger
    this.#server = createServer(socket => this.#take(socket))
    this.#server.maxConnections = requireInteger('maxConnections', maxConnections, { min: 1, max: 1024 })
  }

  async listen({ signal }: AbortOptions = {}): Promise<void> {
    if (this.#closing !== undefined) throw new ClosedError()
    signal?.throwIfAborted()
    const { socketPath, socketMode = 0o600 } = this.#options
    await listenPrivately(this.#server, socketPath, socketMode)
  }

  counters(): KeyServerCounters {
    return { ...this.#counts }
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
    await removeSocket(this.#options.socketPath)
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    let pending: Buffer = Buffer.alloc(0)
    socket.on('data', chunk => {
      pending = pending.byteLength === 0 ? chunk : Buffer.concat([pending, chunk])
      try {
        pending = this.#answerAll(socket, pending)
      } catch (error) {
        this.#counts.malformed += 1
        this.#logger.warn({ reason: String(error) }, 'cut the connection of a KDC')
        socket.destroy()
      }
    })
  }

  /** Answers every whole request in `bytes` and gives the rest. */
  #answerAll(socket: Socket, bytes: Buffer): Buffer {
    let rest = bytes
    for (let read = readRequest(rest); read !== undefined; read = readRequest(rest)) {
      rest = rest.subarray(read.sizeBytes)
      const { request } = read
      // A KDC waits for each answer; who asks on and reads none is no KDC, and must not fill our memory.
      if (socket.writableLength > MAX_REQUEST_BYTES || this.#issuing.has(socket))
        throw new Error('Replies are not read')
      if (request.op === 'ticket') void this.#issueTo(socket, request)
      else this.#send(socket, request, this.#find(request))
    }
    return rest
  }

  async #issueTo(socket: Socket, request: KeyRequest): Promise<void> {
    this.#issuing.add(socket)
    const reply = await this.#issue(request.principal)
    this.#issuing.delete(socket)
    // Who has gone meanwhile gets nothing; the key is used up.
    if (!socket.destroyed) this.#send(socket, request, reply)
  }

  #send(socket: Socket, { id, principal, op }: KeyRequest, reply: KeyReply): void {
    if ('refusal' in reply) {
      this.#counts.refused += 1
      this.#logger.info({ principal, op, refusal: reply.refusal }, 'refused a KDC')
    } else {
      this.#counts.served += 1
    }
    const bytes = writeReply(id, reply)
    socket.write(bytes, () => bytes.fill(0))
  }

  #find(request: Exclude<KeyRequest, { op: 'ticket' }>): KeyReply {
    const { principal } = request
    return request.op === 'current'
      ? (this.#reply(this.#keys.current(principal)) ?? { refusal: 'no-key' })
      : (this.#reply(this.#keys.resolve(principal, request.kvno)) ?? this.#unknown())
  }

  /** A replica that has lost its primary can't say that there is no such version; another KDC of the realm may know it. */
  #unknown(): KeyReply {
    return { refusal: this.#keys.isFresh === false ? 'no-key' : 'unknown-kvno' }
  }

  async #issue(principal: string): Promise<KeyReply> {
    const { issueTicketKey } = this.#options
    if (issueTicketKey === undefined) return { refusal: 'refused' }
    try {
      const version = await issueTicketKey(principal)
      if (version === undefined) return { refusal: 'no-key' }
      this.#counts.issued += 1
      return { version, validMs: 0 }
    } catch (error) {
      this.#logger.error({ principal, reason: (error as Error).message }, 'no key for a ticket')
      return { refusal: 'no-key' }
    }
  }

  #reply(version: KvnoEntry | undefined): KeyReply | undefined {
    if (version === undefined) return undefined
    const leftMs = (version.endsMs ?? Number.POSITIVE_INFINITY) - this.#now()
    return { version, validMs: Math.max(0, Math.min(this.#validMs, Math.floor(leftMs))) }
  }
}
