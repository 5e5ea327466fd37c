import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { callsPerSecond, interleave, median, type Report } from '../report.ts'
import { createEnds } from './ends.ts'

const CONCURRENCY = 16
/** Connections that come and go before anything is counted: code, pools and caches take their place with them. */
const WARM_UP = 200

interface MemoryOptions {
  readonly connections: number
  readonly rounds: number
}

/** Memory of the server for each open connection, next to node:tls; each in a process that served nothing else. */
export async function measureMemory(report: Report, { connections, rounds }: MemoryOptions): Promise<void> {
  const { a, b, ratio } = await interleave(rounds, {
    a: () => perConnection('embedded', connections),
    b: () => perConnection('plain', connections),
  })
  const metric = `memory of each of ${connections} connections`
  report({ metric, value: median(a), unit: 'KiB', baseline: median(b), ratio, samples: rounds })
}

async function perConnection(name: 'plain' | 'embedded', connections: number): Promise<number> {
  await using ends = await createEnds({ sliceBytes: 1024 * 1024, all: false })
  const open = ends.clients.get(name)!
  const sockets: TLSSocket[] = []
  const connect = async () => {
    const socket = await open()
    await once(socket, 'data')
    sockets.push(socket)
  }
  const rssBytes = async () => (await ends.serverUsage('memory')).rssBytes
  await callsPerSecond(Math.min(WARM_UP, connections), CONCURRENCY, connect)
  await closeAll(sockets)
  const before = await rssBytes()
  await callsPerSecond(connections, CONCURRENCY, connect)
  const after = await rssBytes()
  await closeAll(sockets)
  return (after - before) / connections / 1024
}

async function closeAll(sockets: TLSSocket[]): Promise<void> {
  await Promise.all(
    sockets.splice(0).map(async socket => {
      socket.destroy()
      await once(socket, 'close')
    }),
  )
}
