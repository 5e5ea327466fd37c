import { createServer, type Server, type TLSSocket } from 'node:tls'
import { ClosedError } from '../errors.ts'
import type { CertificateIdentity } from '../interface/http.ts'
import type { AbortOptions, Closable } from '../interface/lifecycle.ts'
import type { Logger } from '../interface/logger.ts'
import { certificateIdentity } from '../util/certificate-identity.ts'
import { requireInteger } from '../util/deadline.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { type ListenAddress, listenOn } from '../util/listen.ts'
import { mutualTlsOptions, type TlsCredentials } from '../util/tls-credentials.ts'
import { TlsSockets } from '../util/tls-sockets.ts'
import { SocketChannel, type TlsChannel } from './tls-channel.ts'

/** Options of `createTlsChannelListener`. */
export interface TlsChannelListenerOptions extends TlsCredentials {
  /** Address or name of a local interface. Default `127.0.0.1`. */
  readonly host?: string
  /** TCP port, 0 for a free one. Default 0. */
  readonly port?: number
  /** The peer that a verified certificate stands for; undefined refuses the connection. */
  readonly identify: (identity: CertificateIdentity) => string | undefined
  /** Called with each channel that is ready. The listener's `close()` closes what is still open of them. */
  readonly onChannel: (channel: TlsChannel) => void
  /** Connections at a time, handshakes included; further ones are dropped. Default 256. */
  readonly maxConnections?: number
  /** How long TLS and the first messages may take, in milliseconds. Default 5,000. */
  readonly handshakeTimeoutMs?: number
  /** How often each channel lets hear of itself, in milliseconds, 1 to 60,000. Default 10,000. */
  readonly heartbeatMs?: number
  readonly logger?: Logger
}

/** Waits for `dialTlsChannel` at other places. */
export interface TlsChannelListener extends Closable {
  /** Begins to listen and tells where. */
  listen(options?: AbortOptions): Promise<ListenAddress>
  /** Where it listens; throws before `listen()`. */
  readonly address: ListenAddress
}

/** Accepts message channels over mutual TLS 1.3. Nothing listens before `listen()`. */
export function createTlsChannelListener(options: TlsChannelListenerOptions): TlsChannelListener {
  return new ChannelListener(options)
}

class ChannelListener implements TlsChannelListener {
  readonly #server: Server
  readonly #sockets: TlsSockets
  readonly #listen: ListenAddress
  readonly #identify: TlsChannelListenerOptions['identify']
  readonly #onChannel: TlsChannelListenerOptions['onChannel']
  readonly #handshakeTimeoutMs: number
  readonly #heartbeatMs: number
  readonly #logger: Logger
  readonly #channels = new Set<TlsChannel>()
  #address: ListenAddress | undefined
  #closing: Promise<void> | undefined

  constructor(options: TlsChannelListenerOptions) {
    const { host = '127.0.0.1', port = 0, maxConnections = 256 } = options
    this.#listen = { host, port: requireInteger('port', port, { min: 0, max: 65_535 }) }
    this.#identify = options.identify
    this.#onChannel = options.onChannel
    this.#handshakeTimeoutMs = milliseconds('handshakeTimeoutMs', options.handshakeTimeoutMs ?? 5_000)
    this.#heartbeatMs = milliseconds('heartbeatMs', options.heartbeatMs ?? 10_000)
    this.#logger = options.logger ?? debugLogger('channel')
    this.#server = createServer({
      ...mutualTlsOptions(options, { minVersion: 'TLSv1.3', server: true }),
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: this.#handshakeTimeoutMs,
    })
    this.#server.maxConnections = requireInteger('maxConnections', maxConnections, { min: 1, max: 65_535 })
    this.#sockets = new TlsSockets(this.#server)
    this.#server.on('secureConnection', socket => void this.#welcome(socket))
    this.#server.on('tlsClientError', (error, socket) => {
      this.#logger.info({ reason: error.message }, 'handshake failed')
      // Unlike node:https, node:tls leaves a connection standing whose handshake took too long.
      socket.destroy()
    })
  }

  get address(): ListenAddress {
    if (this.#address === undefined) throw new ClosedError('Not listening yet: call listen() first')
    return this.#address
  }

  async listen({ signal }: AbortOptions = {}): Promise<ListenAddress> {
    if (this.#closing !== undefined) throw new ClosedError()
    this.#address = await listenOn(this.#server, this.#listen, { signal })
    return this.#address
  }

  close(options: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(options: AbortOptions): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    this.#sockets.destroyUnsecured()
    await Promise.all([...this.#channels].map(channel => channel.close(options)))
    this.#sockets.destroyAll()
    await closed
  }

  async #welcome(socket: TLSSocket): Promise<void> {
    const certificate = socket.getPeerX509Certificate()
    const identity = certificate === undefined ? undefined : certificateIdentity(certificate)
    const peerId = identity === undefined ? undefined : this.#identify(identity)
    if (peerId === undefined || this.#closing !== undefined) {
      this.#logger.warn({ certificate: identity?.commonName, fingerprint: identity?.fingerprint256 }, 'peer refused')
      socket.on('error', () => {}).destroy()
      return
    }
    const channel = new SocketChannel(socket, { peerId, heartbeatMs: this.#heartbeatMs })
    try {
      await channel.greet({ group: undefined, signal: AbortSignal.timeout(this.#handshakeTimeoutMs) })
    } catch (error) {
      this.#logger.warn({ peer: peerId, reason: String(error) }, 'peer did not greet')
      channel.abort(error as Error)
      return
    }
    this.#channels.add(channel)
    socket.once('close', () => this.#channels.delete(channel))
    this.#onChannel(channel)
  }
}

function milliseconds(name: string, value: number): number {
  return requireInteger(name, value, { min: 1, max: 60_000 })
}
