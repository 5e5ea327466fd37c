import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'

/**
 * Every connection of one TLS server, from the first packet on: node's own list begins after the handshake, and a
 * connection that never finishes one would hold up a close.
 */
export class TlsSockets {
  readonly #shakingHands = new Map<string, Socket>()
  readonly #secured = new Set<TLSSocket>()
  #onEmpty: (() => void)[] = []

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      const id = idOf(socket)
      this.#shakingHands.set(id, socket)
      socket.once('close', () => {
        this.#shakingHands.delete(id)
        this.#look()
      })
    })
    server.on('secureConnection', socket => {
      this.#shakingHands.delete(idOf(socket))
      this.#secured.add(socket)
      socket.once('close', () => {
        this.#secured.delete(socket)
        this.#look()
      })
    })
  }

  /** Connections whose handshake is done. */
  get secured(): ReadonlySet<TLSSocket> {
    return this.#secured
  }

  /** Connections in all. */
  get size(): number {
    return this.#shakingHands.size + this.#secured.size
  }

  /** Resolves as soon as there is none. */
  whenEmpty(): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#onEmpty.push(resolve))
  }

  /** Drops what has no finished handshake. */
  destroyUnsecured(): void {
    for (const socket of this.#shakingHands.values()) socket.destroy()
  }

  /** Drops everything. */
  destroyAll(): void {
    this.destroyUnsecured()
    for (const socket of this.#secured) socket.destroy()
  }

  #look(): void {
    if (this.size > 0) return
    for (const tell of this.#onEmpty.splice(0)) tell()
  }
}

/** The same for the TCP socket and for the TLS socket over it. */
function idOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}
