import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'

const REQUEST = 0
const EVENT = 7

/** Stands between an agent and charon and measures, with nobody's help, how long charon takes for each command. */
export interface ViciTap extends AsyncDisposable {
  /** Where it listens. */
  readonly path: string
  /** How long charon took for the commands of these names that `work` runs, together and in milliseconds. */
  spent(commands: readonly string[], work: () => Promise<unknown>): Promise<number>
}

/** Listens at `path` and hands everything on to charon's socket. */
export async function tapVici(path: string, charon: string): Promise<ViciTap> {
  const spentMs = new Map<string, number>()
  const sockets = new Set<Socket>()
  const server = createServer(near => {
    const far = connect(charon)
    let asked: { name: string; atMs: number } | undefined
    onPackets(near, packet => {
      if (packet[0] === REQUEST) asked = { name: packet.toString('latin1', 2, 2 + packet[1]!), atMs: performance.now() }
    })
    onPackets(far, packet => {
      if (packet[0] === EVENT || asked === undefined) return
      spentMs.set(asked.name, (spentMs.get(asked.name) ?? 0) + performance.now() - asked.atMs)
      asked = undefined
    })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', data => to.write(data))
      from
        .on('error', () => {})
        .once('close', () => {
          sockets.delete(from)
          to.destroy()
        })
    }
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    path,
    spent: async (commands, work) => {
      const sum = () => commands.reduce((total, command) => total + (spentMs.get(command) ?? 0), 0)
      const before = sum()
      await work()
      return sum() - before
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
      await rm(path, { force: true })
    },
  }
}

/** Calls `take` with each packet: a length of four bytes goes before it. */
function onPackets(socket: Socket, take: (packet: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (data: Buffer) => {
    rest = rest.byteLength === 0 ? data : Buffer.concat([rest, data])
    while (rest.byteLength >= 4 && rest.byteLength >= 4 + rest.readUInt32BE()) {
      const end = 4 + rest.readUInt32BE()
      take(rest.subarray(4, end))
      rest = rest.subarray(end)
    }
  })
}
