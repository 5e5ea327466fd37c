import type { SiteConfig } from '../../lib/index.ts'
import { DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../../lib/site.ts'
import { createTestAuthority } from '../../test/helpers/test-certificates.ts'

const listen = { host: '127.0.0.1', port: 0 }
/** More key than any handshake rate uses up. */
const link = { linkId: 'a-b', kind: 'simulated', rateBps: 50_000_000, host: '127.0.0.1' } as const
const common = {
  pool: DEFAULT_POOL,
  keys: DEFAULT_KEYS,
  listen,
  peerListen: listen,
  store: { kind: 'memory' },
} as const

/** Configurations of two sites in two processes: alice's, which dials, and bob's, which must be started first. */
export function createSiteConfigs(): { alice: (bob: ServedSite['address']) => SiteConfig; bob: SiteConfig } {
  const authority = createTestAuthority()
  return {
    bob: {
      ...common,
      siteId: 'site-b',
      kmeId: 'kme-b',
      tls: authority.issue('kme-b'),
      saes: [{ saeId: 'bob' }],
      peers: [{ siteId: 'site-a', kmeId: 'kme-a', saes: ['alice'] }],
      links: [{ ...link, peerSiteId: 'site-a', role: 'listen', port: 0 }],
    },
    alice: bob => ({
      ...common,
      siteId: 'site-a',
      kmeId: 'kme-a',
      tls: authority.issue('kme-a'),
      saes: [{ saeId: 'alice' }],
      peers: [{ siteId: 'site-b', kmeId: 'kme-b', saes: ['bob'], ...bob.peer }],
      links: [{ ...link, peerSiteId: 'site-b', role: 'connect', port: bob.links['a-b']!.port }],
    }),
  }
}
