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
import type { ServerCertificate } from './certificates.ts'
import { serveSlices } from './slices.ts'

/** What a client does with a server: the names of the servers. */
export type ServerName = 'plain' | 'embedded' | 'remote' | 'ecdsa' | 'rsa'

/** Told once, at the start. */
export interface ServerSetup {
  readonly site: SiteConfig
  /** Left out where no KMS in another process is compared. */
  readonly remote: RemoteKmsOptions | undefined
  readonly certificates: { readonly ecdsa: ServerCertificate; readonly rsa: ServerCertificate | undefined }
  /** Key of the plain server, in hex: a fixed one, of no worth. */
  readonly psk: string
  /** After so many bytes from a client the server says so with one byte, and sends as many when it gets one byte alone. */
  readonly sliceBytes: number
}

/** The answer to the setup. */
export interface ServerAddresses {
  readonly site: ServedSite['address']
  readonly ports: Readonly<Partial<Record<ServerName, number>>>
}

let site: ServedSite | undefined
let remote: Kms | undefined

answer(start, stop)

async function start(setup: ServerSetup): Promise<ServerAddresses> {
  const { certificates, sliceBytes } = setup
  site = await createSite(setup.site)
  remote = setup.remote && createRemoteKms(setup.remote)
  const psk = Buffer.from(setup.psk, 'hex')
  const serve = (socket: TLSSocket) => serveSlices(socket, sliceBytes)
  const { pskCallback: _, ...options } = serverOptions({})
  // 64 clients of one address connect at once, and the next begin before these have ended.
  const gate = { peers: [{ saeId: 'alice' }], maxPendingPerAddress: 256 }
  const servers: Partial<Record<ServerName, Server>> = {
    plain: createTlsServer({ ...options, pskCallback: () => psk }, serve),
    embedded: createServer(site.kmsFor('bob'), gate, serve),
    ...(remote && { remote: createServer(remote, gate, serve) }),
    ecdsa: createTlsServer({ ...options, ...certificates.ecdsa }, serve),
    ...(certificates.rsa && { rsa: createTlsServer({ ...options, ...certificates.rsa }, serve) }),
  }
  const ports: Partial<Record<ServerName, number>> = {}
  for (const [name, server] of Object.entries(servers) as [ServerName, Server][]) {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 })
    await once(server, 'listening')
    ports[name] = (server.address() as AddressInfo).port
  }
  return { site: site.address, ports }
}

async function stop(): Promise<void> {
  await Promise.all([site?.close(), remote?.close()])
}
