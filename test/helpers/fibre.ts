import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A stretch of fibre between a port of its own and another one: bytes pass both ways until it is cut. */
export class Fibre {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cut = false

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  /** Opens a fibre to the port `to` of this machine. */
  static async open({ to }: { to: number }): Promise<Fibre> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const fibre = new Fibre(server)
    server.on('connection', near => fibre.#join(near, to))
    return fibre
  }

  /** Nothing passes any more: connections end, and new ones at once. */
  cut(): void {
    this.#cut = true
    for (const socket of [...this.#sockets]) socket.destroy()
  }

  /** Nothing passes any more, and nobody is told: connections stay open and silent. */
  freeze(): void {
    for (const socket of this.#sockets) {
      socket.unpipe()
      socket.pause()
    }
  }

  mend(): void {
    this.#cut = false
  }

  async close(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join(near: Socket, to: number): void {
    if (this.#cut) {
      near.destroy()
      return
    }
    const far = connect(to, '127.0.0.1')
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far)
    far.pipe(near)
  }
}
