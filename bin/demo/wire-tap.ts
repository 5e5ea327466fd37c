import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** An eavesdropper between two hosts: passes every byte on, and can tell what it has seen. */
export interface WireTap {
  readonly host: string
  readonly port: number
  /** Bytes that have passed, both directions together. */
  readonly byteCount: number
  /** True if `wanted` has passed in the clear, in either direction. Looks at the first megabyte of each. */
  saw(wanted: Buffer): boolean
  close(): Promise<void>
}

/** As much of each direction as is kept to look at. */
const KEPT_BYTES = 1024 * 1024

/** Listens on a free port of the loopback interface and passes everything on to `target`. */
export async function openWireTap(target: { host: string; port: number }): Promise<WireTap> {
  const sockets = new Set<Socket>()
  const directions: Buffer[][] = []
  let byteCount = 0

  function pass(from: Socket, to: Socket): void {
    const kept: Buffer[] = []
    let keptBytes = 0
    directions.push(kept)
    sockets.add(from)
    from.on('data', (bytes: Buffer) => {
      byteCount += bytes.byteLength
      if (keptBytes < KEPT_BYTES) kept.push(Buffer.from(bytes))
      keptBytes += bytes.byteLength
    })
    from.on('error', () => to.destroy())
    from.on('close', () => sockets.delete(from))
    from.pipe(to)
  }

  const server = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ ...target, allowHalfOpen: true })
    pass(near, far)
    pass(far, near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { address: host, port } = server.address() as AddressInfo
  return {
    host,
    port,
    get byteCount() {
      return byteCount
    },
    saw: wanted => directions.some(kept => Buffer.concat(kept).includes(wanted)),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
