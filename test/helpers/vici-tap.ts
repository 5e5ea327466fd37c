import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { decodeViciMessage, type ViciSection } from '../../integrations/strongswan/vici/message.ts'
import { PacketReader } from '../../integrations/strongswan/vici/packet.ts'

/** A key that an agent gave charon. */
export interface TappedKey {
  readonly id: string
  readonly type: string
  readonly owners: readonly string[]
  readonly data: Buffer
}

/** Stands between an agent and its charon, passes every byte on, and notes what keys went by. */
export class ViciTap implements AsyncDisposable {
  readonly path: string
  /** Each key once, however often it was loaded. */
  readonly keys = new Map<string, TappedKey>()
  /** Called with each command before charon gets it. */
  onCommand: (name: string, message: ViciSection) => void = () => {}
  readonly #upstream: string
  readonly #server = createServer(socket => this.#join(socket))
  readonly #sockets = new Set<Socket>()

  private constructor(path: string, upstream: string) {
    this.path = path
    this.#upstream = upstream
  }

  static async open(path: string, upstream: string): Promise<ViciTap> {
    const tap = new ViciTap(path, upstream)
    tap.#server.listen(path)
    await once(tap.#server, 'listening')
    return tap
  }

  /** Cuts the agent off, as its own end would. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #join(near: Socket): void {
    const far = connect(this.#upstream)
    const reader = new PacketReader()
    near.on('data', chunk => {
      for (const packet of reader.push(Buffer.from(chunk))) this.#note(packet)
      far.write(chunk)
    })
    far.on('data', chunk => near.write(chunk))
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket)
      socket
        .on('error', () => {})
        .on('close', () => {
          this.#sockets.delete(socket)
          other.destroy()
        })
    }
  }

  #note(packet: Buffer): void {
    if (packet[0] !== 0) return
    const end = 2 + packet[1]!
    const name = packet.toString('utf8', 2, end)
    const message = decodeViciMessage(packet.subarray(end))
    if (name === 'load-shared') {
      const { id, type, owners, data } = message as { id: string; type: string; owners: string[]; data: Uint8Array }
      this.keys.set(id, { id, type, owners, data: Buffer.from(data) })
    }
    this.onCommand(name, message)
  }
}
