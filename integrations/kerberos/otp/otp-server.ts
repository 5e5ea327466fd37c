import { createServer, type Server, type Socket } from 'node:net'
import {
  type AbortOptions,
  type Closable,
  ClosedError,
  debugLogger,
  type Logger,
  requireInteger,
} from '../../../lib/index.ts'
import { listenPrivately, removeSocket, type SocketMode } from '../private-socket.ts'
import type { OtpVerifier } from './one-time-password.ts'
import { type AccessRequest, MAX_PACKET_BYTES, packetSize, readAccessRequest, writeAnswer } from './radius-packet.ts'

/** Options of `createOtpServer`. */
export interface OtpServerOptions {
  /** Path of the unix socket, `server` of `[otp]` in kdc.conf; only its owner may be able to write to its directory. */
  readonly socketPath: string
  /** 0o600 (the default) where this process and the KDC run as one user, 0o660 where they share a group. */
  readonly socketMode?: SocketMode
  readonly verify: OtpVerifier
  /** Logins that are checked at a time; further ones are refused. 1 to 10,000, default 256. */
  readonly maxPending?: number
  /** Default: silent unless NODE_DEBUG=qkd:kerberos asks for it. */
  readonly logger?: Logger
}

/** What an OTP server has done since it was made. */
export interface OtpServerCounters {
  readonly accepted: number
  readonly rejected: number
  /** Not answered, because the KMS could not be asked or too many logins were under way. */
  readonly failed: number
  /** Connections that were cut because of what came over them. */
  readonly malformed: number
}

/** A RADIUS server for the KDC of the same machine. */
export interface OtpServer extends Closable {
  /**
   * Begins to listen.
   * @throws {ConfigError} others may write to the socket's directory, its path is taken, or another process listens there
   */
  listen(options?: AbortOptions): Promise<void>
  counters(): OtpServerCounters
}

/** Answers what MIT's OTP preauthentication asks by RADIUS over a unix socket. Nothing listens before `listen()`. */
export function createOtpServer(options: OtpServerOptions): OtpServer {
  return new RadiusOtpServer(options)
}

class RadiusOtpServer implements OtpServer {
  readonly #options: OtpServerOptions
  readonly #maxPending: number
  readonly #logger: Logger
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #pending = new Set<Promise<void>>()
  readonly #ending = new AbortController()
  readonly #counts = { accepted: 0, rejected: 0, failed: 0, malformed: 0 }
  #closing: Promise<void> | undefined

  constructor(options: OtpServerOptions) {
    const { maxPending = 256, logger = debugLogger('kerberos') } = options
    this.#options = options
    this.#maxPending = requireInteger('maxPending', maxPending, { min: 1, max: 10_000 })
    this.#logger = logger
    this.#server = createServer(socket => this.#take(socket))
    this.#server.maxConnections = 64
  }

  async listen({ signal }: AbortOptions = {}): Promise<void> {
    if (this.#closing !== undefined) throw new ClosedError()
    signal?.throwIfAborted()
    const { socketPath, socketMode = 0o600 } = this.#options
    await listenPrivately(this.#server, socketPath, socketMode)
  }

  counters(): OtpServerCounters {
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
    this.#ending.abort(new ClosedError())
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all([closed, ...this.#pending])
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
        pending = this.#takeAll(socket, pending)
      } catch (error) {
        this.#counts.malformed += 1
        this.#logger.warn({ reason: String(error) }, 'cut a RADIUS connection')
        socket.destroy()
      }
    })
  }

  /** Takes every whole packet in `bytes` and gives the rest. */
  #takeAll(socket: Socket, bytes: Buffer): Buffer {
    let rest = bytes
    for (let size = packetSize(rest); size !== undefined && rest.byteLength >= size; size = packetSize(rest)) {
      const request = readAccessRequest(rest.subarray(0, size))
      rest = rest.subarray(size)
      if (socket.writableLength > MAX_PACKET_BYTES) throw new Error('Answers are not read')
      this.#begin(socket, request)
    }
    return rest
  }

  #begin(socket: Socket, request: AccessRequest): void {
    if (this.#pending.size >= this.#maxPending) {
      this.#counts.failed += 1
      this.#logger.warn({ principal: request.userName }, 'too many logins at a time')
      return
    }
    const checking = this.#check(socket, request).finally(() => this.#pending.delete(checking))
    this.#pending.add(checking)
  }

  /** A KMS that can't be asked gets no answer: the KDC tries again, or another server. */
  async #check(socket: Socket, request: AccessRequest): Promise<void> {
    const { userName: principal, password } = request
    try {
      const outcome = await this.#options.verify({ principal, password }, { signal: this.#ending.signal })
      const isAccepted = outcome === 'accepted'
      this.#counts[isAccepted ? 'accepted' : 'rejected'] += 1
      this.#logger.info({ principal, outcome }, 'a login by one-time key')
      if (!socket.destroyed) socket.write(writeAnswer(isAccepted ? 'accept' : 'reject', request))
    } catch (error) {
      this.#counts.failed += 1
      this.#logger.error({ principal, reason: String(error) }, 'a login could not be checked')
    }
  }
}
