import { createServer, type Server, type Socket } from 'node:net'
import { ClosedError } from '../errors.ts'
import { type ListenAddress, listenOn } from '../util/listen.ts'
import type { WorkerProcess } from './worker-process.ts'

/** Where hosts connect, and who serves them. */
export interface HostDoorOptions {
  readonly listen: ListenAddress
  readonly workers: () => Iterable<WorkerProcess>
}

/** Connections that wait for a worker at a time; further ones are closed. As many as a kernel keeps for one process. */
const MAX_WAITING = 512
/** How long one waits, in milliseconds: workers are started again within less. */
const WAIT_MS = 5_000

/**
 * Accepts the connections of hosts and gives each to a worker, one after the other, before a byte of it is read. The port
 * stays open while workers come and go; what no worker takes in time is closed, so that its host knows.
 */
export class HostDoor {
  readonly #options: HostDoorOptions
  readonly #server: Server
  readonly #waiting = new Map<Socket, NodeJS.Timeout>()
  readonly #served = new WeakMap<WorkerProcess, number>()
  #count = 0
  #address: ListenAddress | undefined

  constructor(options: HostDoorOptions) {
    this.#options = options
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, socket => this.#admit(socket))
  }

  get address(): ListenAddress {
    if (this.#address === undefined) throw new ClosedError('Not listening yet')
    return this.#address
  }

  async open(): Promise<void> {
    this.#address = await listenOn(this.#server, this.#options.listen)
  }

  /** Gives what waits to workers that are free. To be called when one has become so. */
  look(): void {
    for (const [socket, timer] of this.#waiting) {
      const worker = this.#next()
      if (worker === undefined) return
      clearTimeout(timer)
      this.#waiting.delete(socket)
      this.#count += 1
      this.#served.set(worker, this.#count)
      worker.hand(socket, () => this.look())
    }
  }

  /** Accepts no more, and closes what waits. */
  async close(): Promise<void> {
    // Node would tell the end of this server only when the workers' last connection has ended.
    if (this.#address !== undefined) this.#server.close()
    for (const socket of [...this.#waiting.keys()]) socket.destroy()
  }

  #admit(socket: Socket): void {
    socket.on('error', () => {})
    if (this.#waiting.size >= MAX_WAITING) {
      socket.destroy()
      return
    }
    this.#waiting.set(
      socket,
      setTimeout(() => socket.destroy(), WAIT_MS),
    )
    socket.once('close', () => {
      clearTimeout(this.#waiting.get(socket))
      this.#waiting.delete(socket)
    })
    this.look()
  }

  /** Of the free workers the one that was served longest ago. */
  #next(): WorkerProcess | undefined {
    let next: WorkerProcess | undefined
    for (const worker of this.#options.workers()) {
      if (!worker.isFree) continue
      if (next === undefined || (this.#served.get(worker) ?? 0) < (this.#served.get(next) ?? 0)) next = worker
    }
    return next
  }
}
