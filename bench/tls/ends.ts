import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { connect } from '../../integrations/tls/index.ts'
import { createRemoteKms, createSite, type Kms } from '../../lib/index.ts'
import { BenchProcess, type Usage } from './bench-process.ts'
import { ecdsaCertificate, rsaCertificate } from './certificates.ts'
import type { RemoteEnds } from './kme-process.ts'
import type { ServerAddresses, ServerName, ServerSetup } from './server-process.ts'
import { createSiteConfigs } from './site-configs.ts'

const CIPHERS = 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

/** Opens one session. */
export type Connect = () => Promise<TLSSocket>

/** The servers in a process of their own, and a client here for each. */
export interface Ends extends AsyncDisposable {
  readonly clients: ReadonlyMap<ServerName, Connect>
  /** Bytes of a slice, each way. */
  readonly sliceBytes: number
  serverUsage(what: 'cpu' | 'memory'): Promise<Usage>
}

/** Starts both ends; with `all`, also those that are only compared: a KMS in a process of its own, and certificates. */
export async function createEnds({ sliceBytes, all }: { sliceBytes: number; all: boolean }): Promise<Ends> {
  const owned: AsyncDisposable[] = []
  const own = <T extends AsyncDisposable>(thing: T): T => {
    owned.push(thing)
    return thing
  }
  const close = async () => {
    for (const thing of owned.splice(0).reverse()) await thing[Symbol.asyncDispose]()
  }
  try {
    const server = own(new BenchProcess('server-process'))
    const clients = await openClients({ server, sliceBytes, all, own })
    const serverUsage = (what: 'cpu' | 'memory') => server.ask<Usage>({ usage: what })
    return { clients, sliceBytes, serverUsage, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

interface ClientsOptions {
  readonly server: BenchProcess
  readonly sliceBytes: number
  readonly all: boolean
  readonly own: <T extends AsyncDisposable>(thing: T) => T
}

async function openClients({ server, sliceBytes, all, own }: ClientsOptions): Promise<Map<ServerName, Connect>> {
  const kmes = all ? await own(new BenchProcess('kme-process')).ask<RemoteEnds>({}) : undefined
  const configs = createSiteConfigs()
  const certificates = { ecdsa: ecdsaCertificate(), rsa: all ? await rsaCertificate() : undefined }
  const psk = randomBytes(32)
  const setup: ServerSetup = {
    site: configs.bob,
    remote: kmes?.bob,
    certificates,
    psk: psk.toString('hex'),
    sliceBytes,
  }
  const { site: bob, ports } = await server.ask<ServerAddresses>(setup)
  const site = own(await createSite(configs.alice(bob)))
  const remote = kmes && own(createRemoteKms(kmes.alice))

  const plain = (port: number, options: ConnectionOptions) => async () => {
    const socket = connectTls({ host: '127.0.0.1', port, minVersion: 'TLSv1.3', ciphers: CIPHERS, ...options })
    await once(socket, 'secureConnect')
    return socket
  }
  const wrapped = (port: number, kms: Kms) => () => connect(kms, { peerSaeId: 'bob', host: '127.0.0.1', port })
  const fixed = { ca: [], pskCallback: () => ({ psk, identity: 'q1~alice~fixed' }) }
  const clients = new Map<ServerName, Connect>([
    ['plain', plain(ports.plain!, fixed)],
    ['embedded', wrapped(ports.embedded!, site.kmsFor('alice'))],
  ])
  if (remote !== undefined) clients.set('remote', wrapped(ports.remote!, remote))
  if (all) clients.set('ecdsa', plain(ports.ecdsa!, { ca: certificates.ecdsa.ca }))
  if (certificates.rsa !== undefined) clients.set('rsa', plain(ports.rsa!, { ca: certificates.rsa.ca }))
  return clients
}
