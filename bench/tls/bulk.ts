import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { elapsedMs, interleave, median, type Report } from '../report.ts'
import type { Connect, Ends } from './ends.ts'

const MIB = 1024 * 1024

/** Options of `measureBulk`. */
export interface BulkOptions {
  readonly slices: number
  readonly ends: Pick<Ends, 'clients' | 'sliceBytes' | 'serverUsage'>
  /** What is measured, where that is not TLS 1.3 beside node:tls. */
  readonly of?: string
}

/** Throughput of one connection each way, next to node:tls, and what a MiB costs the server. */
export async function measureBulk(report: Report, { slices, ends, of }: BulkOptions): Promise<void> {
  const { sliceBytes, clients } = ends
  const sockets: TLSSocket[] = []
  for (const name of ['embedded', 'plain'] as const) sockets.push(await opened(clients.get(name)!))
  const [wrapped, plain] = sockets as [TLSSocket, TLSSocket]
  for (const [way, move] of [
    ['bulk to the server', upload],
    ['bulk to the client', download],
  ] as const) {
    const what = of === undefined ? way : `${way} in ${of}`
    const cpuUs: Record<'a' | 'b', number[]> = { a: [], b: [] }
    const timed = (socket: TLSSocket, end: 'a' | 'b') => async () => {
      const before = (await ends.serverUsage('cpu')).cpuUs
      const ms = await elapsedMs(() => move(socket, sliceBytes))
      cpuUs[end].push(((await ends.serverUsage('cpu')).cpuUs - before) / (sliceBytes / MIB))
      return (sliceBytes / MIB / ms) * 1000
    }
    for (const socket of sockets) await move(socket, sliceBytes)
    const { a, b, ratio } = await interleave(slices, { a: timed(wrapped, 'a'), b: timed(plain, 'b') })
    const measured = { metric: `${what}, under a key of the KMS`, samples: slices }
    report({ ...measured, value: median(a), unit: 'MiB/s', baseline: median(b), ratio })
    const cpu = { value: median(cpuUs.a), baseline: median(cpuUs.b), unit: 'us' }
    const cpuRatio = median(cpuUs.a.map((value, at) => value / cpuUs.b[at]!))
    report({ ...measured, metric: `server CPU of a MiB of ${what}`, ...cpu, ratio: cpuRatio })
  }
  for (const socket of sockets) socket.destroy()
}

async function opened(open: Connect): Promise<TLSSocket> {
  const socket = await open()
  await once(socket, 'data')
  return socket
}

async function upload(socket: TLSSocket, sliceBytes: number): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024)
  const received = once(socket, 'data')
  for (let sent = 0; sent < sliceBytes; sent += chunk.byteLength) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  await received
}

function download(socket: TLSSocket, sliceBytes: number): Promise<void> {
  return new Promise(resolve => {
    let leftBytes = sliceBytes
    const onData = (chunk: Buffer) => {
      leftBytes -= chunk.byteLength
      if (leftBytes > 0) return
      socket.off('data', onData)
      resolve()
    }
    socket.on('data', onData)
    socket.write('!')
  })
}
