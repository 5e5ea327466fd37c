import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { FrameDecoder } from '../../lib/qll/frame-decoder.ts'
import { encodeFrame, maxFrameBytes, type QuantumFrame } from '../../lib/qll/quantum-wire.ts'
import { AsyncQueue } from '../../lib/util/async-queue.ts'

/** An end that speaks the wire format by hand, so that a test can break its rules. */
export class RawEnd {
  readonly socket: Socket
  readonly #frames = new AsyncQueue<QuantumFrame>()

  constructor(socket: Socket) {
    this.socket = socket
    const decoder = new FrameDecoder(maxFrameBytes(1_000_000))
    socket.on('data', chunk => decoder.push(chunk as Buffer, frame => this.#frames.push(frame)))
    socket.on('error', () => {})
    socket.on('close', () => this.#frames.end())
  }

  static async connect(port: number): Promise<RawEnd> {
    const socket = connect({ port, host: '127.0.0.1' })
    await once(socket, 'connect')
    return new RawEnd(socket)
  }

  send(frame: QuantumFrame): void {
    this.socket.write(encodeFrame(frame))
  }

  /** The next frame of that type, other types passed over; undefined once the connection is closed. */
  async next<T extends QuantumFrame['type']>(type: T): Promise<Extract<QuantumFrame, { type: T }> | undefined> {
    for (;;) {
      const frame = await this.#frames.take({ signal: AbortSignal.timeout(8000) })
      if (frame === undefined || frame.type === type) return frame as Extract<QuantumFrame, { type: T }> | undefined
    }
  }
}

/** A listening end made by hand: `serve` gets each connection. */
export async function listenRaw(serve: (end: RawEnd) => unknown): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server: Server = createServer(socket => {
    sockets.add(socket)
    serve(new RawEnd(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}
