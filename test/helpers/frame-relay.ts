import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Who sent a message: the connecting end (Bob) or the listening one (Alice). */
export type Sender = 'bob' | 'alice'

/** What becomes of a message of the classical channel: those that go on in its place. `at` counts from 0 for each sender. */
export type FrameTamper = (message: Buffer, from: Sender, at: number) => readonly Buffer[]

/** Somebody on the line between the two ends of a BB84 link, who reads all and may change the classical channel. */
export interface FrameRelay {
  readonly port: number
  /** Everything that passed, as it was sent: both channels, both directions. */
  readonly recorded: Buffer[]
  /** From now on; counts begin anew. Undefined lets everything pass. */
  tamper(by: FrameTamper | undefined): void
  close(): Promise<void>
}

const HEADER_BYTES = 4
/** How the first message of a connection begins. */
const MAGIC = 0x716b6462
/** Place of the purpose in the first message of a connection: 0 for the talk of the ends. */
const PURPOSE_AT = 5

export async function createFrameRelay(targetPort: () => number, { record = false } = {}): Promise<FrameRelay> {
  const sockets = new Set<Socket>()
  const recorded: Buffer[] = []
  const counts = { alice: 0, bob: 0 }
  let tamper: FrameTamper | undefined
  const server = createServer(near => {
    const far = connect({ port: targetPort(), host: '127.0.0.1' })
    let isTalk = false
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    const pass = (from: Sender, to: Socket) => (frame: Buffer, message: Buffer | undefined) => {
      if (message === undefined) return void to.write(frame)
      if (from === 'bob' && message.byteLength > PURPOSE_AT && message.readUInt32BE() === MAGIC)
        isTalk = message[PURPOSE_AT] === 0
      const out = isTalk && tamper !== undefined ? tamper(Buffer.from(message), from, counts[from]++) : [message]
      for (const one of out) {
        const header = Buffer.alloc(HEADER_BYTES)
        header.writeUInt32BE(one.byteLength)
        to.write(Buffer.concat([header, one]))
      }
    }
    for (const [source, sink, from] of [
      [near, far, 'bob'],
      [far, near, 'alice'],
    ] as const) {
      const cut = frameCutter(pass(from, sink))
      source.on('data', (chunk: Buffer) => {
        if (record) recorded.push(Buffer.from(chunk))
        cut(chunk)
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    recorded,
    tamper(by) {
      tamper = by
      counts.alice = 0
      counts.bob = 0
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Cuts a stream into frames; `message` is undefined for signs of life and of the end. */
function frameCutter(onFrame: (frame: Buffer, message: Buffer | undefined) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0)
  return chunk => {
    rest = Buffer.concat([rest, chunk])
    while (rest.byteLength >= HEADER_BYTES) {
      const size = rest.readUInt32BE()
      const end = HEADER_BYTES + (size === 0xffff_ffff ? 0 : size)
      if (rest.byteLength < end) return
      onFrame(rest.subarray(0, end), end === HEADER_BYTES ? undefined : rest.subarray(HEADER_BYTES, end))
      rest = rest.subarray(end)
    }
  }
}
