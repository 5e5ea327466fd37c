import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { encodeViciMessage, type ViciSection } from '../../../../integrations/strongswan/vici/message.ts'
import { PacketReader } from '../../../../integrations/strongswan/vici/packet.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'

/** What a client sent: type, name, and the rest as it came. */
export interface HeardPacket {
  readonly type: number
  readonly name: string
  readonly body: Buffer
}

/** Answers as the script says, so that a client meets what a real charon does only when it is broken. */
export type Script = (packet: HeardPacket, socket: Socket) => void

/** A packet as charon sends it. */
export function packet(type: number, body: Buffer | ViciSection = Buffer.alloc(0), name?: string): Buffer {
  const bytes = Buffer.isBuffer(body) ? body : encodeViciMessage(body)
  const head = name === undefined ? Buffer.of(type) : Buffer.concat([Buffer.of(type, name.length), Buffer.from(name)])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(head.byteLength + bytes.byteLength)
  return Buffer.concat([length, head, bytes])
}

/** Confirms registrations, and leaves the rest to `script`. */
export async function createScriptedCharon(script: Script) {
  const dir = await createTempDir()
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    const reader = new PacketReader()
    socket.on('data', chunk => {
      for (const bytes of reader.push(chunk)) {
        const end = 2 + bytes[1]!
        const heard = { type: bytes[0]!, name: bytes.toString('utf8', 2, end), body: Buffer.from(bytes.subarray(end)) }
        if (heard.type === 3 || heard.type === 4) socket.write(packet(5))
        else script(heard, socket)
      }
    })
  })
  const path = join(dir.path, 'vici')
  const listen = async () => {
    server.listen(path)
    await once(server, 'listening')
  }
  const stop = async () => {
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  await listen()
  return {
    path,
    sockets,
    listen,
    stop,
    [Symbol.asyncDispose]: async () => {
      if (server.listening) await stop()
      await dir[Symbol.asyncDispose]()
    },
  }
}
