import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import type { Server, TLSSocket } from 'node:tls'
import { type ConnectOptions, connect, createServer, type PskServerOptions } from '../../../integrations/tls/index.ts'
import { TelemetryHub } from '../../../lib/index.ts'
import { AsyncQueue } from '../../../lib/util/async-queue.ts'
import { createKmsPair } from './kms-pair.ts'
import { WatchedKms } from './watched-kms.ts'

/** alice, who connects, and bob, who runs a server on loopback. */
export interface TlsPair extends AsyncDisposable {
  readonly alice: WatchedKms
  readonly bob: WatchedKms
  readonly server: Server
  readonly port: number
  readonly telemetry: TelemetryHub
  /** Sessions that the server's application saw. */
  readonly sessions: AsyncQueue<TLSSocket>
  /** Errors that the server told of. */
  readonly refusals: AsyncQueue<Error & { reason?: string }>
  connect(options?: Partial<ConnectOptions>): Promise<TLSSocket>
}

/** A pair, with `options` over what its server would have. */
export async function createTlsPair(options: Partial<PskServerOptions> = {}): Promise<TlsPair> {
  const { alice: aliceKms, bob: bobKms } = await createKmsPair()
  const [alice, bob] = [new WatchedKms(aliceKms), new WatchedKms(bobKms)]
  const telemetry = new TelemetryHub()
  const server = createServer(bob, { peers: [{ saeId: 'alice' }], telemetry, ...options })
  const watched = await watchServer(server)
  return {
    ...watched,
    alice,
    bob,
    server,
    telemetry,
    connect: connectOptions =>
      connect(alice, { peerSaeId: 'bob', host: '127.0.0.1', port: watched.port, ...connectOptions }),
    [Symbol.asyncDispose]: watched[Symbol.asyncDispose],
  }
}

/** Starts `server` on a free port and collects what it tells; closes it with all its connections. */
export async function watchServer(server: Server) {
  const sessions = new AsyncQueue<TLSSocket>()
  const refusals = new AsyncQueue<Error & { reason?: string }>()
  const open = new Set<{ destroy(): unknown }>()
  let closing = false
  const onConnection = (raw: { destroy(): unknown }) => void (closing ? raw.destroy() : open.add(raw))
  server.on('connection', onConnection)
  server.on('secureConnection', socket => {
    socket.on('error', () => {})
    sessions.push(socket)
  })
  server.on('tlsClientError', error => refusals.push(error))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    sessions,
    refusals,
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      closing = true
      for (const raw of open) raw.destroy()
      server.close()
      await once(server, 'close')
      server.off('connection', onConnection)
    },
  }
}

/** The next item, within ten seconds. */
export async function next<T>(queue: AsyncQueue<T>): Promise<T> {
  return (await queue.take({ signal: AbortSignal.timeout(10_000) }))!
}

/** Everything that `socket` brings until its other end has ended; leaves our half as it is. */
export async function readAll(socket: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  await once(socket, 'end', { signal: AbortSignal.timeout(10_000) })
  return Buffer.concat(chunks)
}
