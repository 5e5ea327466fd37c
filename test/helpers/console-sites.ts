import { join } from 'node:path'
import type { ConsoleConfig } from '../../lib/config/console-config.ts'
import type { SiteConfig } from '../../lib/config/site-config.ts'
import { type ControllerServer, createControllerServer } from '../../lib/controller-server.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../../lib/site.ts'
import { Fibre } from './fibre.ts'
import { freePorts } from './site-process.ts'
import { createTempDir } from './temp-dir.ts'
import { createTestAuthority } from './test-certificates.ts'

const NAMES = ['a', 'b', 'c'] as const
type Name = (typeof NAMES)[number]
const HOST = '127.0.0.1'

/** How the network is made. */
export interface ConsoleSitesOptions {
  /** Hosts of each site. */
  readonly hosts: Readonly<Record<Name, readonly string[]>>
  /** The console of site A, which is a store on a disk, with an audit log. */
  readonly console: ConsoleConfig
  /** Key that each link yields, in bits per second. Default 400,000. */
  readonly rateBps?: number
  /** How long a request waits for key, in milliseconds. Default 300. */
  readonly maxWaitMs?: number
}

/** A controller and three sites in this process, each joined with both others by a link and by a fibre that can be cut. */
export interface ConsoleSites extends AsyncDisposable {
  /** Where the audit log (`audit.log`) and the store (`store`, with `store.kek`) of site A lie. */
  readonly directory: string
  readonly controller: ControllerServer
  readonly sites: Readonly<Record<Name, ServedSite>>
  /** By the link's ID. */
  readonly fibres: ReadonlyMap<string, Fibre>
  readonly authority: ReturnType<typeof createTestAuthority>
  host(saeId: string): Kms
}

/** Starts them; the controller has a console too. */
export async function openConsoleSites(options: ConsoleSitesOptions): Promise<ConsoleSites> {
  const { hosts, rateBps = 400_000, maxWaitMs = 300 } = options
  const dir = await createTempDir()
  const authority = createTestAuthority()
  const ports = await freePorts(12)
  const port = (kind: number, name: Name) => ports[kind * NAMES.length + NAMES.indexOf(name)]!
  const closables: { close(): Promise<unknown> }[] = []
  const close = async () => {
    for (const closable of closables.reverse()) await closable.close()
    await dir[Symbol.asyncDispose]()
  }
  try {
    const controller = await createControllerServer({
      controllerId: 'controller',
      listen: { host: HOST, port: 0 },
      tls: authority.issue('controller'),
      sites: NAMES.map(name => ({ siteId: `site-${name}`, kmeId: `kme-${name}` })),
      operators: [],
      state: { kind: 'file', path: join(dir.path, 'controller.state') },
      periodMs: 200,
      console: { host: HOST, port: 0 },
    })
    closables.push(controller)
    const fibres = new Map<string, Fibre>()
    const sites = {} as Record<Name, ServedSite>
    // The one that sorts last is dialled by the others, so it is first.
    for (const name of NAMES.toReversed()) {
      const others = NAMES.filter(other => other !== name)
      const config: SiteConfig = {
        siteId: `site-${name}`,
        kmeId: `kme-${name}`,
        listen: { host: HOST, port: 0 },
        peerListen: { host: HOST, port: port(0, name) },
        tls: authority.issue(`kme-${name}`),
        saes: hosts[name].map(saeId => ({ saeId })),
        peers: others.map(other => ({
          siteId: `site-${other}`,
          kmeId: `kme-${other}`,
          saes: hosts[other],
          host: HOST,
          port: port(0, other),
        })),
        links: others.map(other => {
          const linkId = [name, other].sort().join('-')
          const common = { linkId, kind: 'simulated', rateBps, peerSiteId: `site-${other}` } as const
          if (other < name) return { ...common, role: 'listen', host: HOST, port: 0 }
          return { ...common, role: 'connect', host: HOST, port: fibres.get(linkId)!.port }
        }),
        network: {
          listen: { host: HOST, port: port(1, name) },
          nodes: others.map(other => ({
            siteId: `site-${other}`,
            kmeId: `kme-${other}`,
            host: HOST,
            port: port(1, other),
          })),
          controllers: [{ controllerId: 'controller', ...controller.address }],
          heartbeatMs: 250,
        },
        store: { kind: 'memory' },
        pool: { ...DEFAULT_POOL, maxWaitMs },
        keys: DEFAULT_KEYS,
        ...(name === 'a' && {
          store: { kind: 'lmdb', path: join(dir.path, 'store'), kek: { file: join(dir.path, 'store.kek') } } as const,
          audit: { file: join(dir.path, 'audit.log') },
          ops: { host: HOST, port: 0 },
          console: options.console,
        }),
      }
      const site = await createSite(config)
      closables.push(site)
      sites[name] = site
      for (const [linkId, address] of Object.entries(site.address.links)) {
        const fibre = await Fibre.open({ to: address.port })
        fibres.set(linkId, fibre)
        closables.push(fibre)
      }
    }
    const siteOf = (saeId: string) => sites[NAMES.find(name => hosts[name].includes(saeId))!]
    return {
      directory: dir.path,
      controller,
      sites,
      fibres,
      authority,
      host: saeId => siteOf(saeId).kmsFor(saeId),
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
