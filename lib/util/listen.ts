import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import type { AbortOptions } from '../interface/lifecycle.ts'

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Begins to listen; rejects with what the system says where it can't, such as `EADDRINUSE`. */
export async function listenOn(
  server: Server,
  { host, port }: ListenAddress,
  { signal }: AbortOptions = {},
): Promise<ListenAddress> {
  signal?.throwIfAborted()
  server.listen({ host, port })
  await once(server, 'listening')
  const bound = server.address() as AddressInfo
  return { host: bound.address, port: bound.port }
}
