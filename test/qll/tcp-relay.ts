import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { resetSocket } from '../../integrations/tls/tunnel/reset-socket.ts'

/** A stretch of cable between a connecting and a listening end: it can be cut anywhere, and mended. */
export interface TcpRelay {
  readonly port: number
  /** Breaks every connection and lets none through until `mend()`. */
  cut(): void
  mend(): void
  /** Breaks the next connection after that many bytes from the listening end. */
  cutAfter(sizeBytes: number): void
  close(): Promise<void>
}

/** A relay on loopback that leads to `targetPort`, which may change between two connections. */
export async function createTcpRelay(targetPort: () => number): Promise<TcpRelay> {
  const sockets = new Set<Socket>()
  let whole = true
  let limitBytes = Number.POSITIVE_INFINITY
  const breakAll = () => {
    // Not resetAndDestroy(): in the moment of a socket's own FIN it leaks the socket, and the process never ends.
    for (const socket of sockets) resetSocket(socket)
  }
  const server = createServer(near => {
    const far = connect({ port: targetPort(), host: '127.0.0.1' })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    if (!whole) {
      near.destroy()
      return
    }
    near.pipe(far)
    far.on('data', (chunk: Buffer) => {
      near.write(chunk.subarray(0, Math.min(limitBytes, chunk.byteLength)))
      limitBytes -= chunk.byteLength
      if (limitBytes > 0) return
      limitBytes = Number.POSITIVE_INFINITY
      near.destroySoon()
      resetSocket(far)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      whole = false
      breakAll()
    },
    mend() {
      whole = true
    },
    cutAfter(sizeBytes) {
      limitBytes = sizeBytes
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      breakAll()
      await closed
    },
  }
}
