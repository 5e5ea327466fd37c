// Two sites without a link between them share key over a relay; a controller plans which way it goes. All in one process,
// over mutual TLS as between machines.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ControllerConfig,
  createCertificateAuthority,
  createControllerServer,
  createSite,
  dialController,
  issueCertificate,
  type ServedSite,
  type SiteConfig,
} from '../lib/index.ts'

const authority = createCertificateAuthority({ commonName: 'Example CA', days: 1 })
const tlsOf = (commonName: string) => {
  const pair = issueCertificate(authority, { commonName, usage: 'both', days: 1, ipAddresses: ['127.0.0.1'] })
  return { cert: pair.certificatePem, key: pair.privateKeyPem, ca: authority.certificatePem }
}
const anyPort = { host: '127.0.0.1', port: 0 }
const state = await mkdtemp(join(tmpdir(), 'qkd-example-'))

const controllerConfig: ControllerConfig = {
  controllerId: 'controller',
  listen: anyPort,
  tls: tlsOf('controller'),
  sites: ['a', 'b', 'relay'].map(siteId => ({ siteId, kmeId: `kme-${siteId}` })),
  operators: [],
  state: { kind: 'file', path: join(state, 'controller.json') },
  periodMs: 200,
}
const controller = await createControllerServer(controllerConfig)
const controllers = [{ controllerId: 'controller', ...controller.address }]

/** A site of the network; each knows the addresses of those that listen for it, which started before it. */
async function startSite(
  siteId: string,
  parts: Partial<SiteConfig>,
  nodes: [string, ServedSite?][],
): Promise<ServedSite> {
  return await createSite({
    siteId,
    kmeId: `kme-${siteId}`,
    listen: anyPort,
    peerListen: anyPort,
    tls: tlsOf(`kme-${siteId}`),
    saes: [],
    peers: [],
    links: [],
    store: { kind: 'memory' },
    pool: { lifetimeMs: 60_000, targetBlocks: 8, maxWaitMs: 10_000, shredMs: 60_000 },
    keys: { keySizeBits: 256, minKeySizeBits: 64, maxKeySizeBits: 4096, maxKeyPerRequest: 128 },
    network: {
      listen: anyPort,
      nodes: nodes.map(([other, site]) => ({ siteId: other, kmeId: `kme-${other}`, ...site?.address.node })),
      controllers,
      heartbeatMs: 500,
    },
    ...parts,
  })
}

const fibre = { kind: 'simulated', rateBps: 2_000_000, host: '127.0.0.1' } as const
const listens = (linkId: string, peerSiteId: string) =>
  ({ ...fibre, linkId, peerSiteId, role: 'listen', port: 0 }) as const
const connects = (linkId: string, to: ServedSite) =>
  ({ ...fibre, linkId, peerSiteId: to.siteId, role: 'connect', port: to.address.links[linkId]!.port }) as const

const relay = await startSite('relay', { links: [listens('a-relay', 'a'), listens('b-relay', 'b')] }, [['a'], ['b']])
const b = await startSite(
  'b',
  {
    saes: [{ saeId: 'bob' }],
    peers: [{ siteId: 'a', kmeId: 'kme-a', saes: ['alice'] }],
    links: [connects('b-relay', relay)],
  },
  [['relay', relay], ['a']],
)
const a = await startSite(
  'a',
  {
    saes: [{ saeId: 'alice' }],
    peers: [{ siteId: 'b', kmeId: 'kme-b', saes: ['bob'], ...b.address.peer }],
    links: [connects('a-relay', relay)],
  },
  [
    ['relay', relay],
    ['b', b],
  ],
)

// The KMSs of both sites as their own hosts see them. Key is there once the network has planned and the relay has worked.
const alice = a.kmsFor('alice')
const bob = b.kmsFor('bob')
while ((await alice.getStatus('bob')).storedKeyCount === 0) await once(AbortSignal.timeout(100), 'abort')
const [key] = await alice.getKey('bob')
const [same] = await bob.getKeyWithIds('alice', [key!.keyId])
console.log(`Alice and Bob have the same key: ${key!.secret.equals(same!.secret)}, trust class ${key!.trustClass}`)

const watcher = dialController({ tls: tlsOf('kme-a'), network: { controllers } })
const { sites, links } = await watcher.status({ signal: AbortSignal.timeout(5000) })
console.log(
  `The controller sees ${sites.length} sites and ${links.map(({ linkId, state }) => `${linkId} ${state}`).join(', ')}`,
)

await watcher.close()
for (const closable of [a, b, relay, controller]) await closable.close()
await rm(state, { recursive: true })
