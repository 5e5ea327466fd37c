import { join } from 'node:path'
import { startWorker } from '../../bin/start-worker.ts'
import type { Etsi014Config } from '../../lib/config/etsi014-config.ts'
import type { SiteConfig, StoreConfig } from '../../lib/config/site-config.ts'
import type { SkipConfig } from '../../lib/config/skip-config.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { PolicyFile } from '../../lib/interface/policy.ts'
import type { PoolLimits } from '../../lib/kms/pool/key-pool.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { createLocalPair, createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite, type Site } from '../../lib/site.ts'
import { createTempDir } from './temp-dir.ts'
import { createTestAuthority, type TestCredentials } from './test-certificates.ts'

/** Two real sites with hosts: alice at the first; bob and carol at the second. */
export interface TestSites extends AsyncDisposable {
  readonly sites: readonly [Site, Site]
  readonly alice: Kms
  readonly bob: Kms
  readonly carol: Kms
  /** Cuts the fibre between the sites: no more key material comes until `mendLink()`. */
  cutLink(): void
  mendLink(): void
}

export interface TestSitesOptions {
  /** Default 100 Mb/s: pools fill at once. */
  readonly rateBps?: number
  readonly pool?: Partial<PoolLimits>
  readonly keys?: Partial<SiteConfig['keys']>
  readonly policy?: PolicyFile
}

/** Options that only sites in this process have. */
export interface LocalTestSitesOptions extends TestSitesOptions {
  /** Further hosts of the two sites. Default none. */
  readonly moreSaes?: readonly [readonly string[], readonly string[]]
  /** Wall clock of both sites, in milliseconds. Default the system's. */
  readonly now?: () => number
}

const SAES = { 'site-a': ['alice'], 'site-b': ['bob', 'carol'] }

/** Both sites in this process, nothing on disk. */
export async function createTestSites({
  rateBps = 100_000_000,
  moreSaes: [moreA, moreB] = [[], []],
  ...options
}: LocalTestSitesOptions = {}): Promise<TestSites> {
  const siteIds = ['site-a', 'site-b'] as const
  // A small buffer: what waits in it still comes after a cut.
  const links = createSimulatedLinkPair({ linkId: 'a-b', siteIds, rateBps, bufferBlocks: 2 })
  const sites = await createLocalPair({
    rateBps,
    links,
    ...options,
    sites: [
      { siteId: 'site-a', saeIds: [...SAES['site-a'], ...moreA] },
      { siteId: 'site-b', saeIds: [...SAES['site-b'], ...moreB] },
    ],
  })
  return {
    sites,
    alice: sites[0].kmsFor('alice'),
    bob: sites[1].kmsFor('bob'),
    carol: sites[1].kmsFor('carol'),
    cutLink: () => links[0].interrupt(),
    mendLink: () => links[0].restore(),
    [Symbol.asyncDispose]: () => closeAll(sites),
  }
}

/** Both sites as servers on loopback, joined by mutual TLS and a simulated quantum channel over TCP. */
export interface ServedTestSites extends AsyncDisposable {
  readonly sites: readonly [ServedSite, ServedSite]
  readonly configs: readonly [SiteConfig, SiteConfig]
  /** Credentials of a registered SAE, or of one that any name is given for. */
  credentials(saeId: string, options?: { uriSans?: string[] }): TestCredentials
}

export interface ServedTestSitesOptions extends TestSitesOptions {
  /** `lmdb` keeps the pools in a temporary directory. Default `memory`. */
  readonly store?: 'memory' | 'lmdb'
  /** Whether the sites have a port for health and metrics. Default not. */
  readonly ops?: boolean
  /** Servers for encryptors at the first and the second site, besides where they listen. Default none. */
  readonly skip?: readonly [Omit<SkipConfig, 'listen'>, Omit<SkipConfig, 'listen'>]
  /** Worker processes of the first site. Default none. */
  readonly workers?: number
  /** How both ETSI 014 servers treat their callers, given the way to certificates. Default as shipped. */
  readonly etsi014?: (credentials: ServedTestSites['credentials']) => Etsi014Config
}

export async function createServedTestSites(options: ServedTestSitesOptions = {}): Promise<ServedTestSites> {
  const { rateBps = 100_000_000, pool, keys, policy, store = 'memory', ops, skip } = options
  const dir = await createTempDir()
  const authority = createTestAuthority()
  const credentials: ServedTestSites['credentials'] = (name, more) => authority.issue(name, more)
  const etsi014 = options.etsi014 === undefined ? {} : { etsi014: options.etsi014(credentials) }
  const common = { pool: { ...DEFAULT_POOL, ...pool }, keys: { ...DEFAULT_KEYS, ...keys }, ...(policy && { policy }) }
  const saes = (siteId: keyof typeof SAES) => SAES[siteId].map(saeId => ({ saeId }))
  const listen = { host: '127.0.0.1', port: 0 }
  const watched = ops === true ? { ops: listen } : {}
  const skipOf = (site: 0 | 1) => (skip === undefined ? {} : { skip: { ...skip[site], listen } })
  const link = { linkId: 'a-b', kind: 'simulated', rateBps, host: '127.0.0.1' } as const
  const storeAt = (siteId: string): StoreConfig =>
    store === 'memory'
      ? { kind: 'memory' }
      : { kind: 'lmdb', path: join(dir.path, siteId), kek: { file: join(dir.path, `${siteId}.kek`) } }
  // The site that sorts last listens for peer and link, so it starts first and its ports are known to the other.
  const configB: SiteConfig = {
    ...common,
    ...watched,
    ...etsi014,
    ...skipOf(1),
    siteId: 'site-b',
    kmeId: 'kme-b',
    listen,
    peerListen: listen,
    tls: credentials('kme-b'),
    saes: saes('site-b'),
    peers: [{ siteId: 'site-a', kmeId: 'kme-a', saes: SAES['site-a'] }],
    links: [{ ...link, peerSiteId: 'site-a', role: 'listen', port: 0 }],
    store: storeAt('site-b'),
  }
  const siteB = await createSite(configB)
  const configA: SiteConfig = {
    ...common,
    ...watched,
    ...etsi014,
    ...skipOf(0),
    ...(options.workers && { workers: options.workers }),
    siteId: 'site-a',
    kmeId: 'kme-a',
    listen,
    peerListen: listen,
    tls: credentials('kme-a'),
    saes: saes('site-a'),
    peers: [{ siteId: 'site-b', kmeId: 'kme-b', saes: SAES['site-b'], ...siteB.address.peer }],
    links: [{ ...link, peerSiteId: 'site-b', role: 'connect', port: siteB.address.links['a-b']!.port }],
    store: storeAt('site-a'),
  }
  const siteA = await createSite(configA, { startWorker })
  const sites = [siteA, siteB] as const
  return {
    sites,
    configs: [configA, configB],
    credentials,
    [Symbol.asyncDispose]: async () => {
      await closeAll(sites)
      await dir[Symbol.asyncDispose]()
    },
  }
}

async function closeAll(sites: readonly Site[]): Promise<void> {
  await Promise.all(sites.map(site => site.close()))
}
