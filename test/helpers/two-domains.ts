import { join } from 'node:path'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import type { BorderConfig } from '../../lib/config/border-config.ts'
import type { PeerConfig, SiteConfig } from '../../lib/config/site-config.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { PolicyFile } from '../../lib/interface/policy.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../../lib/site.ts'
import { freePorts } from './site-process.ts'
import { createTempDir } from './temp-dir.ts'
import { createTestAuthority } from './test-certificates.ts'

/** `inner-1` and `border-1` are one domain, `border-2` and `inner-2` another; the borders stand at one place. */
const SITES = ['inner-1', 'border-1', 'border-2', 'inner-2'] as const
export type SiteName = (typeof SITES)[number]

/** Hosts by site. */
const SAES: Readonly<Record<SiteName, readonly string[]>> = {
  'inner-1': ['alice', 'anna'],
  'border-1': ['amos'],
  'border-2': ['cleo'],
  'inner-2': ['carol', 'carl'],
}
const DOMAINS: readonly (readonly SiteName[])[] = [
  ['inner-1', 'border-1'],
  ['border-2', 'inner-2'],
]

export interface TwoDomainsOptions {
  readonly mode?: BorderConfig['mode']
  /** Level that the domains have agreed on. Default `quantum`. */
  readonly level?: 'quantum' | 'hybrid'
  readonly policies?: Partial<Record<SiteName, PolicyFile>>
}

/** Two domains of two sites each, joined by ETSI GS QKD 020 between the two border sites, with stores that last. */
export interface TwoDomains extends AsyncDisposable {
  site(name: SiteName): ServedSite
  kms(saeId: string): Kms
  /** Credentials in the authority of all. */
  credentials(name: string): { readonly key: string; readonly cert: string; readonly ca: string }
  /** Path of a site's audit log. */
  auditFile(name: SiteName): string
  stop(name: SiteName): Promise<void>
  start(name: SiteName): Promise<void>
}

export async function createTwoDomains(options: TwoDomainsOptions = {}): Promise<TwoDomains> {
  const dir = await createTempDir()
  const authority = createTestAuthority()
  const ports = await freePorts(12)
  const portOf = (name: SiteName, what: 0 | 1 | 2) => ports[SITES.indexOf(name) * 3 + what]!
  const links = new Map(DOMAINS.map((domain, at) => [domain, { linkId: `link-${at}`, port: 0 }]))
  const linkPorts = await freePorts(DOMAINS.length)
  const running = new Map<SiteName, ServedSite>()

  const configOf = (name: SiteName): SiteConfig => {
    const domain = DOMAINS.find(sites => sites.includes(name))!
    const peer = domain.find(site => site !== name)!
    const others = DOMAINS.find(sites => !sites.includes(name))!
    const abroad = others.flatMap(site => SAES[site])
    const isBorder = name.startsWith('border')
    const opposite = others.find(site => site.startsWith('border'))!
    const listens = name > peer
    const peers: PeerConfig[] = [
      {
        siteId: peer,
        kmeId: `kme-${peer}`,
        saes: SAES[peer],
        ...(isBorder ? {} : { foreignSaes: abroad }),
        host: '127.0.0.1',
        port: portOf(peer, 1),
      },
    ]
    const border: BorderConfig = {
      listen: { host: '127.0.0.1', port: portOf(name, 2) },
      mode: options.mode ?? 'asynchronous',
      domains: [
        {
          kmeId: `kme-${opposite}`,
          url: `https://127.0.0.1:${portOf(opposite, 2)}`,
          saes: abroad,
          level: options.level ?? 'quantum',
        },
      ],
    }
    const policy = options.policies?.[name]
    return {
      siteId: name,
      kmeId: `kme-${name}`,
      listen: { host: '127.0.0.1', port: portOf(name, 0) },
      peerListen: { host: '127.0.0.1', port: portOf(name, 1) },
      tls: authority.issue(`kme-${name}`),
      saes: SAES[name].map(saeId => ({ saeId })),
      peers,
      links: [
        {
          linkId: links.get(domain)!.linkId,
          kind: 'simulated',
          rateBps: 100_000_000,
          host: '127.0.0.1',
          peerSiteId: peer,
          role: listens ? 'listen' : 'connect',
          port: linkPorts[DOMAINS.indexOf(domain)]!,
        },
      ],
      store: { kind: 'lmdb', path: join(dir.path, name), kek: { file: join(dir.path, `${name}.kek`) } },
      pool: DEFAULT_POOL,
      keys: DEFAULT_KEYS,
      audit: { file: join(dir.path, `${name}.audit`) },
      ...(policy && { policy }),
      ...(isBorder && { border }),
    }
  }

  const start = async (name: SiteName) => {
    running.set(name, await createSite(configOf(name)))
  }
  for (const name of SITES) await start(name)
  return {
    site: name => running.get(name)!,
    kms: saeId => {
      const name = SITES.find(site => SAES[site].includes(saeId))!
      return createRemoteKms({
        saeId,
        baseUrl: `https://127.0.0.1:${portOf(name, 0)}`,
        timeoutMs: 10_000,
        ...authority.issue(saeId),
      })
    },
    credentials: name => authority.issue(name),
    auditFile: name => join(dir.path, `${name}.audit`),
    stop: name => running.get(name)!.close(),
    start,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...running.values()].map(site => site.close()))
      await dir[Symbol.asyncDispose]()
    },
  }
}
