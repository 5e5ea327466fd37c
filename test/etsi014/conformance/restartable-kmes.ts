import { join } from 'node:path'
import type { SiteConfig } from '../../../lib/config/site-config.ts'
import { createEtsi014Handler } from '../../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../../lib/etsi014/sae-identity.ts'
import { createHttpsTransport } from '../../../lib/http/https-transport.ts'
import { createInProcessTransport } from '../../../lib/http/in-process-transport.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../../../lib/site.ts'
import { freePorts } from '../../helpers/site-process.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { identityOf, REGISTERED } from '../wires.ts'
import { type Ask, askOver } from './checklist.ts'
import { credentialsOf, type WayIn } from './ways-in.ts'

/** Two KMEs with their stores on disk, that can be stopped and started again at the same addresses. */
export interface RestartableKmes extends AsyncDisposable {
  readonly A: Ask
  readonly B: Ask
  stop(kms: 0 | 1): Promise<void>
  start(kms: 0 | 1): Promise<void>
}

const HOSTS = ['alice', 'bob'] as const
const KMES = ['kme-a', 'kme-b'] as const
const SITES = ['site-a', 'site-b'] as const

/** Starts both; over mTLS hosts call the sites' own servers, in process a handler on whichever site runs just then. */
export async function openRestartableKmes({ name }: WayIn): Promise<RestartableKmes> {
  const dir = await createTempDir()
  const ports = await freePorts(5)
  const configs = [configOf(0, dir.path, ports), configOf(1, dir.path, ports)] as const
  const running: [ServedSite | undefined, ServedSite | undefined] = [undefined, undefined]
  const start = async (kms: 0 | 1) => {
    running[kms] = await createSite(configs[kms])
  }
  const stop = async (kms: 0 | 1) => {
    await running[kms]?.close()
    running[kms] = undefined
  }
  await start(1)
  await start(0)
  const transports = ([0, 1] as const).map(kms => {
    if (name === 'mTLS') {
      return createHttpsTransport({ baseUrl: `https://127.0.0.1:${ports[kms]}`, ...credentialsOf(HOSTS[kms]) })
    }
    const directory = { kmsFor: (saeId: string) => running[kms]!.kmsFor(saeId) }
    const handler = createEtsi014Handler({ directory, saeIdentity: saeIdentifier(REGISTERED) })
    return createInProcessTransport(handler, { identity: identityOf(HOSTS[kms]) })
  })
  const [A, B] = transports.map(askOver) as [Ask, Ask]
  return {
    A,
    B,
    start,
    stop,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(transports.map(transport => transport.close()))
      await Promise.all([stop(0), stop(1)])
      await dir[Symbol.asyncDispose]()
    },
  }
}

function configOf(kms: 0 | 1, dir: string, ports: readonly number[]): SiteConfig {
  const other = kms === 0 ? 1 : 0
  const [siteId, peerSiteId, host] = [SITES[kms], SITES[other], '127.0.0.1']
  const role = kms === 0 ? 'connect' : 'listen'
  return {
    siteId,
    kmeId: KMES[kms],
    listen: { host, port: ports[kms]! },
    peerListen: { host, port: ports[2 + kms]! },
    tls: credentialsOf(KMES[kms]),
    saes: [{ saeId: HOSTS[kms] }],
    peers: [{ siteId: peerSiteId, kmeId: KMES[other], saes: [HOSTS[other]], host, port: ports[2 + other]! }],
    links: [{ linkId: 'a-b', kind: 'simulated', rateBps: 100_000_000, peerSiteId, role, host, port: ports[4]! }],
    store: { kind: 'lmdb', path: join(dir, siteId), kek: { file: join(dir, `${siteId}.kek`) } },
    // Keys that nobody has under lease are refused at once.
    pool: { ...DEFAULT_POOL, maxWaitMs: 200 },
    keys: DEFAULT_KEYS,
  }
}
