/** Servers of TLS 1.2, in one process: under keys of the KMS, and node:tls alone over a socket and over a stream. */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { createServer as createTlsServer, type Server, type TLSSocket } from 'node:tls'
import { createServer, serverOptions } from '../../integrations/tls/index.ts'
import { createSite, type ServedSite, type SiteConfig } from '../../lib/index.ts'
import { answer } from './bench-process.ts'
import { serveSlices } from './slices.ts'

/** Told once, at the start. */
export interface Tls12Setup {
  readonly site: SiteConfig
  /** Key of the servers that have no KMS, in hex: a fixed one, of no worth. */
  readonly psk: string
  readonly sliceBytes: number
}

/** The answer to the setup. */
export interface Tls12Addresses {
  readonly site: ServedSite['address']
  readonly ports: Readonly<Record<'keyed' | 'native' | 'stream', number>>
}

let site: ServedSite | undefined

answer(
  async ({ site: config, psk: hex, sliceBytes }: Tls12Setup): Promise<Tls12Addresses> => {
    site = await createSite(config)
    const psk = Buffer.from(hex, 'hex')
    const { pskCallback: _, ...options } = serverOptions({ minVersion: 'TLSv1.2' })
    const serve = (socket: TLSSocket) => serveSlices(socket, sliceBytes)
    const plain = () => createTlsServer({ ...options, pskCallback: () => psk }, serve)
    const peers = [{ saeId: 'alice', binding: 'raw' as const }]
    const servers = {
      keyed: createServer(site.kmsFor('bob'), { peers, minVersion: 'TLSv1.2' }, serve),
      native: plain(),
      stream: overStreams(plain()),
    }
    const ports = { keyed: 0, native: 0, stream: 0 }
    for (const name of Object.keys(ports) as (keyof typeof ports)[]) {
      servers[name].listen(0, '127.0.0.1')
      await once(servers[name], 'listening')
      ports[name] = (servers[name].address() as AddressInfo).port
    }
    return { site: site.address, ports }
  },
  async () => site?.close(),
)

/** Makes `server` treat its sockets as streams like any other: what Node asks for one whose bytes JavaScript must see first. */
function overStreams(server: Server): Server {
  const emit = server.emit.bind(server)
  server.emit = (event: string | symbol, ...args: unknown[]) =>
    event === 'connection' ? emit(event, asStream(args[0] as Socket)) : emit(event, ...args)
  return server
}

/** The socket itself, but for what node:tls goes by when it looks for a native handle. */
function asStream(socket: Socket): Duplex {
  return new Proxy(socket, {
    getPrototypeOf: () => Duplex.prototype,
    get: (target, name) => {
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
