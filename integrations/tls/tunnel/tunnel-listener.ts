import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  type AbortOptions,
  type Closable,
  ClosedError,
  debugLogger,
  InvalidArgumentError,
  type Logger,
  requireInteger,
} from '../../../lib/index.ts'
import { resetSocket } from './reset-socket.ts'
import { splice } from './splice.ts'
import { CHUNKS_AHEAD_BYTES } from './tunnel-stream.ts'

/** How long a connection may be silent before TCP asks whether its other end is still there, in milliseconds. */
const KEEP_ALIVE_MS = 30_000

/** A TCP endpoint. */
export interface TunnelAddress {
  /** Name or address. */
  readonly host: string
  readonly port: number
}

/** What both ends of a tunnel have in common. */
export interface TunnelOptions {
  /** Where connections are taken. Default a free port of `127.0.0.1`. */
  readonly listen?: Partial<TunnelAddress>
  /** Where they go: the other end of the tunnel for an entry, the program itself for an exit. */
  readonly connect: TunnelAddress
  /** Connections at a time; further ones are reset at once. 1 to 65535, default 1024. */
  readonly maxConnections?: number
  /** How long `close()` waits for connections to end before it resets them, in milliseconds; 0 to 600000, default 10000. */
  readonly drainMs?: number
  /** Default: silent unless NODE_DEBUG=qkd:tls asks for it. */
  readonly logger?: Logger
}

/** What a tunnel has done since it was made. */
export interface TunnelCounters {
  /** Connections taken. */
  readonly accepted: number
  /** Of these, under way. */
  readonly open: number
  /** Ended by both sides. */
  readonly completed: number
  /** Cut after they had begun. */
  readonly reset: number
  /** Never begun: no session under a key, or nobody at the target. */
  readonly failed: number
  /** Turned away because `maxConnections` were open; not among `accepted`. */
  readonly refused: number
  /** Bytes that the programs at this end sent into the tunnel. */
  readonly bytesIn: number
  /** Bytes that came out of the tunnel for them. */
  readonly bytesOut: number
}

/** One end of a tunnel. */
export interface Tunnel extends Closable {
  /** Begins to listen and tells where; rejects with what the system says where it can't, such as `EADDRINUSE`. */
  listen(options?: AbortOptions): Promise<TunnelAddress>
  counters(): TunnelCounters
  /** Takes no more connections, waits for those that are open until `drainMs` is over or `signal` aborts, and resets the rest. */
  close(options?: AbortOptions): Promise<void>
}

/** How one kind of end makes a whole connection out of one that it took. */
export interface TunnelWay {
  /** Both halves of the connection. Where it rejects it has closed all of it. */
  open(socket: Socket, options: Required<AbortOptions>): Promise<{ readonly local: Socket; readonly remote: Duplex }>
  /** Called once, when the last connection has ended. */
  release(): void
}

/** Takes connections, keeps their number and counts; what becomes of each, its way knows. */
export class TunnelListener implements Tunnel {
  readonly #way: TunnelWay
  readonly #front: Server
  readonly #address: TunnelAddress
  readonly #maxConnections: number
  readonly #drainMs: number
  readonly #logger: Logger
  readonly #running = new Set<Promise<void>>()
  /** One for each connection; aborting it cuts the connection. */
  readonly #connections = new Set<AbortController>()
  readonly #counts = { accepted: 0, completed: 0, reset: 0, failed: 0, refused: 0, bytesIn: 0, bytesOut: 0 }
  #closing: Promise<void> | undefined

  /** @throws {InvalidArgumentError} an option is wrong */
  constructor(way: TunnelWay, { listen = {}, maxConnections = 1024, drainMs = 10_000, logger }: TunnelOptions) {
    const { host = '127.0.0.1', port = 0 } = listen
    requireInteger('listen.port', port, { min: 0, max: 65_535 })
    this.#address = { host, port }
    this.#maxConnections = requireInteger('maxConnections', maxConnections, { min: 1, max: 65_535 })
    this.#drainMs = requireInteger('drainMs', drainMs, { min: 0, max: 600_000 })
    this.#logger = logger ?? debugLogger('tls')
    this.#way = way
    this.#front = createServer({ allowHalfOpen: true, highWaterMark: CHUNKS_AHEAD_BYTES }, socket => this.#take(socket))
  }

  counters(): TunnelCounters {
    return { ...this.#counts, open: this.#running.size }
  }

  async listen({ signal }: AbortOptions = {}): Promise<TunnelAddress> {
    if (this.#closing !== undefined) throw new ClosedError()
    signal?.throwIfAborted()
    this.#front.listen(this.#address)
    await once(this.#front, 'listening')
    this.#front.on('error', error => this.#logger.error({ reason: error.message }, 'a connection could not be taken'))
    const { address, port } = this.#front.address() as AddressInfo
    return { host: address, port }
  }

  close(options: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end({ signal }: AbortOptions): Promise<void> {
    const closed = new Promise<void>(resolve => this.#front.close(() => resolve()))
    const cut = () => {
      for (const connection of this.#connections) connection.abort(new ClosedError('The tunnel was closed'))
    }
    const timer = setTimeout(cut, this.#drainMs)
    if (signal?.aborted || this.#drainMs === 0) cut()
    else signal?.addEventListener('abort', cut, { once: true })
    await Promise.all(this.#running)
    clearTimeout(timer)
    signal?.removeEventListener('abort', cut)
    await closed
    this.#way.release()
  }

  #take(socket: Socket): void {
    if (this.#running.size >= this.#maxConnections) {
      this.#counts.refused += 1
      resetSocket(socket)
      return
    }
    this.#counts.accepted += 1
    const running = this.#carry(socket).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** The whole life of one connection. Never rejects. */
  async #carry(socket: Socket): Promise<void> {
    const connection = new AbortController()
    const { signal } = connection
    this.#connections.add(connection)
    const onGone = () => connection.abort(new ClosedError('The connection was given up'))
    socket.on('error', onGone).once('close', onGone)
    holdOpen(socket)
    const counts = this.#counts
    let begun = false
    try {
      const halves = await this.#way.open(socket, { signal })
      begun = true
      // From here on an end of the socket may be as it should; `onGone` stays for errors, which must not go unheard.
      socket.off('close', onGone)
      await splice({
        ...halves,
        signal,
        onBytesIn: bytes => {
          counts.bytesIn += bytes
        },
        onBytesOut: bytes => {
          counts.bytesOut += bytes
        },
      })
      counts.completed += 1
    } catch (error) {
      counts[begun ? 'reset' : 'failed'] += 1
      const reason = error instanceof Error ? error.message : String(error)
      this.#logger.warn({ reason }, begun ? 'a connection was cut' : 'a connection did not come about')
    } finally {
      this.#connections.delete(connection)
    }
  }
}

/** Sets a connection so that one whose other end has vanished does not stay for ever. */
export function holdOpen(socket: Socket): Socket {
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
}

/** `address` if a connection can go there; otherwise throws, naming the option. */
export function requireTarget(name: string, address: TunnelAddress): TunnelAddress {
  const { host, port } = Object(address) as Partial<TunnelAddress>
  if (typeof host !== 'string' || host === '') throw new InvalidArgumentError(`${name}.host must be a name or address`)
  return { host, port: requireInteger(`${name}.port`, port, { min: 1, max: 65_535 }) }
}
