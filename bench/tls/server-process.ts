/** The servers that are compared, all in one process, whose processor time is what a handshake costs its server. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer, type Server, type TLSSocket } from 'node:tls'
import { createServer, serverOptions } from '../../integrations/tls/index.ts'
import {
  createRemoteKms,
  createSite,
  type Kms,
  type RemoteKmsOptions,
  type ServedSite,
  type SiteConfig,
} from '../../lib/index.ts'
import { answer } from './bench-process.ts'

/** What a client does with a server: the names of the servers. */
export type ServerName = 'plain' | 'embedded' | 'remote' | 'certificate'

/** Told once, at the start. */
export interface ServerSetup {
  readonly site: SiteConfig
  readonly remote: RemoteKmsOptions
  readonly certificate: { readonly key: string; readonly cert: string }
  /** Key of the plain server, in hex: a fixed one, of no worth. */
  readonly psk: string
  /** After so many bytes from a client the server says so with one byte. */
  readonly sliceBytes: number
}

/** The answer to the setup. */
export interface ServerAddresses {
  readonly site: ServedSite['address']
  readonly ports: Readonly<Record<ServerName, number>>
}

let site: ServedSite | undefined
let remote: Kms | undefined

answer(async (message: ServerSetup | { cpu: true }): Promise<ServerAddresses | number> => {
  if ('cpu' in message) {
    const { user, system } = process.cpuUsage()
    return user + system
  }
  return start(message)
}, stop)

async function start(setup: ServerSetup): Promise<ServerAddresses> {
  site = await createSite(setup.site)
  remote = createRemoteKms(setup.remote)
  const psk = Buffer.from(setup.psk, 'hex')
  const serve = (socket: TLSSocket) => serveSlices(socket, setup.sliceBytes)
  const { pskCallback: _, ...options } = serverOptions({})
  const peers = [{ saeId: 'alice' }]
  const servers: Record<ServerName, Server> = {
    plain: createTlsServer({ ...options, pskCallback: () => psk }, serve),
    embedded: createServer(site.kmsFor('bob'), { peers }, serve),
    remote: createServer(remote, { peers }, serve),
    certificate: createTlsServer({ ...options, ...setup.certificate }, serve),
  }
  const ports = {} as Record<ServerName, number>
  for (const [name, server] of Object.entries(servers) as [ServerName, Server][]) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ports[name] = (server.address() as AddressInfo).port
  }
  return { site: site.address, ports }
}

/** One byte when the session stands, and one after each slice that came. */
function serveSlices(socket: TLSSocket, sliceBytes: number): void {
  let leftBytes = sliceBytes
  socket.on('error', () => {})
  socket.on('data', chunk => {
    leftBytes -= chunk.byteLength
    for (; leftBytes <= 0; leftBytes += sliceBytes) socket.write('.')
  })
  socket.write('.')
}

async function stop(): Promise<void> {
  await Promise.all([site?.close(), remote?.close()])
}
