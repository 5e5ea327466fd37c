import { createServer, type Server, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { StreamChannel } from '../../../channel/stream-channel.ts'
import { LinkDownError } from '../../../errors.ts'
import { eitherSignal, withDeadline } from '../../../util/deadline.ts'
import { listenOn } from '../../../util/listen.ts'
import { hear, INTRODUCTION_MS, type Introduction } from './introduction.ts'

/** Connections that a door holds at once, and that may be about to introduce themselves. */
const MAX_CONNECTIONS = 16

/** Who came in, and over what. */
export interface Visitor {
  readonly introduction: Introduction
  /** Owned by whoever takes the visitor in. */
  readonly channel: StreamChannel
}

/** Where a door is, and who opens it. */
export interface DoorOptions {
  readonly linkId: string
  readonly host: string
  readonly port: number
  readonly heartbeatMs: number
  /** Takes a visitor in. */
  readonly onVisitor: (visitor: Visitor) => void
}

/** A TCP port at which other ends of a link, or those of its devices, say who they are. Nothing here proves it. */
export class Door {
  readonly #server: Server
  readonly #options: DoorOptions
  readonly #channels = new Set<StreamChannel>()
  readonly #closing = new AbortController()
  #port = 0

  private constructor(options: DoorOptions) {
    this.#options = options
    this.#server = createServer({ noDelay: true }, socket => void this.#receive(socket))
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** @throws {LinkDownError} it can't listen there */
  static async open(options: DoorOptions): Promise<Door> {
    const { linkId, host, port } = options
    const door = new Door(options)
    const address = await listenOn(door.#server, { host, port }).catch((cause: Error) => {
      throw new LinkDownError(`Link "${linkId}" can't listen at ${host}:${port}: ${cause.message}`, { cause })
    })
    // What goes wrong with one connection to come (no file descriptors, say) must not end those that stand.
    door.#server.on('error', () => {})
    door.#port = address.port
    return door
  }

  get port(): number {
    return this.#port
  }

  /** Lets nobody in any more and sends those who are there away. */
  async close(): Promise<void> {
    this.#closing.abort()
    const closed = promisify(this.#server.close).bind(this.#server)()
    await Promise.all([...this.#channels].map(closeAtOnce))
    await closed
  }

  async #receive(socket: Socket): Promise<void> {
    const { heartbeatMs, onVisitor } = this.#options
    const channel = new StreamChannel(socket, { peerId: 'the other end', heartbeatMs })
    this.#channels.add(channel)
    void channel.lost.then(() => this.#channels.delete(channel))
    try {
      const introduction = await hear(channel, { signal: withDeadline(this.#closing.signal, INTRODUCTION_MS) })
      onVisitor({ introduction, channel })
    } catch {
      await closeAtOnce(channel)
    }
  }
}

/** Drops a channel: what is under way on it is of no use to either side. */
export function closeAtOnce(channel: StreamChannel): Promise<void> {
  return channel.close({ signal: AbortSignal.abort() })
}

/** A signal that aborts with `signal`, or when the channel is lost. */
export function whileHeld(channel: StreamChannel, signal: AbortSignal): AbortSignal {
  const lost = new AbortController()
  void channel.lost.then(reason => lost.abort(reason))
  return eitherSignal(signal, lost.signal)
}
