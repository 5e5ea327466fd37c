import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import type { TLSSocket, Server as TlsServer } from 'node:tls'
import {
  type AbortOptions,
  type Closable,
  ClosedError,
  debugLogger,
  InvalidArgumentError,
  type Kms,
  type Logger,
  requireInteger,
} from '../../lib/index.ts'
import { openChannel, type PskChannel, requireHeartbeat } from './channel.ts'
import type { GateOptions, PskPeer } from './options.ts'
import { createServer } from './server.ts'
import type { TlsVersionOptions } from './suites.ts'

/** Options of `createChannelListener`: those of the gate, without certificates. */
export interface ChannelListenerOptions extends Omit<GateOptions, 'certificate' | 'peers' | keyof TlsVersionOptions> {
  /** Every SAE that may open a channel; at least one, each once. */
  readonly peers: readonly Pick<PskPeer, 'saeId'>[]
  /** Address or name of a local interface. Default `127.0.0.1`. */
  readonly host?: string
  /** TCP port, 0 for a free one. Default 0. */
  readonly port?: number
  /** Called with each channel that is ready. The listener's `close()` closes what is still open of them. */
  readonly onChannel: (channel: PskChannel) => void
  /** Connections at a time, handshakes included; further ones are dropped. 1 to 65535, default 256. */
  readonly maxConnections?: number
  /** How often each channel lets hear of itself, in milliseconds, 1 to 60,000. Default 10,000. */
  readonly heartbeatMs?: number
}

/** Waits for `connectChannel` at other hosts. */
export interface ChannelListener extends Closable {
  /** Begins to listen and tells where; rejects with what the system says where it can't, such as `EADDRINUSE`. */
  listen(options?: AbortOptions): Promise<{ readonly host: string; readonly port: number }>
}

/**
 * Accepts channels over TLS under keys of the KMS. Nothing listens before `listen()`.
 * @throws {InvalidArgumentError} an option is wrong, or an SAE ID can't stand in a TLS identity
 */
export function createChannelListener(kms: Kms, options: ChannelListenerOptions): ChannelListener {
  return new PskChannelListener(kms, options)
}

class PskChannelListener implements ChannelListener {
  /** In front of the TLS server, because that one tells of a connection only when its key is there. */
  readonly #front: Server
  readonly #tls: TlsServer
  readonly #options: ChannelListenerOptions
  readonly #saeId: string
  readonly #logger: Logger
  readonly #sockets = new Set<Socket>()
  readonly #channels = new Set<PskChannel>()
  #closing: Promise<void> | undefined

  constructor(kms: Kms, options: ChannelListenerOptions) {
    const { port = 0, maxConnections = 256, peers, heartbeatMs, onChannel } = options
    requireInteger('port', port, { min: 0, max: 65_535 })
    requireHeartbeat(heartbeatMs)
    if (typeof onChannel !== 'function') throw new InvalidArgumentError('onChannel must be a function')
    this.#options = options
    this.#saeId = kms.saeId
    this.#logger = options.logger ?? debugLogger('tls')
    const { host: _, ...gate } = options
    const bound = Array.isArray(peers) ? peers.map(({ saeId }) => ({ saeId })) : peers
    this.#tls = createServer(
      kms,
      { ...gate, peers: bound, certificate: 'forbid' },
      socket => void this.#welcome(socket),
    )
    this.#front = createTcpServer(socket => this.#take(socket))
    this.#front.maxConnections = requireInteger('maxConnections', maxConnections, { min: 1, max: 65_535 })
  }

  async listen({ signal }: AbortOptions = {}): Promise<{ host: string; port: number }> {
    if (this.#closing !== undefined) throw new ClosedError()
    signal?.throwIfAborted()
    const { host = '127.0.0.1', port = 0 } = this.#options
    this.#front.listen({ host, port })
    await once(this.#front, 'listening')
    const bound = this.#front.address() as AddressInfo
    return { host: bound.address, port: bound.port }
  }

  close(options: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(options: AbortOptions): Promise<void> {
    const closed = new Promise<void>(resolve => this.#front.close(() => resolve()))
    await Promise.all([...this.#channels].map(channel => channel.close(options)))
    for (const socket of this.#sockets) socket.destroy()
    await closed
    // It never listened itself; this wipes the keys that the gate holds.
    this.#tls.close()
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    this.#tls.emit('connection', socket)
  }

  async #welcome(socket: TLSSocket): Promise<void> {
    const { heartbeatMs, deadlineMs = 5_000, onChannel } = this.#options
    try {
      const signal = AbortSignal.timeout(deadlineMs)
      const channel = await openChannel(socket, { saeId: this.#saeId, heartbeatMs, signal })
      this.#channels.add(channel)
      socket.once('close', () => this.#channels.delete(channel))
      onChannel(channel)
    } catch (error) {
      this.#logger.warn({ saeId: this.#saeId, reason: String(error) }, 'no channel came of a session')
    }
  }
}
