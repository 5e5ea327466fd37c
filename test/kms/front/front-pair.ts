import { createAccessKms } from '../../../lib/client/profile-kms.ts'
import type { FrontConfig } from '../../../lib/config/front-config.ts'
import { createFront, type Front } from '../../../lib/front.ts'
import type { Kms } from '../../../lib/interface/kms.ts'
import { createForeignKmePair, type ForeignKmePair } from '../../helpers/foreign-kme.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'

const HOSTS = { 'site-a': ['alice'], 'site-b': ['bob', 'carol'] } as const
type SiteId = keyof typeof HOSTS

/** Two sites whose keys come from a vendor's pair of KMEs, each behind a front of ours. */
export interface FrontPair extends AsyncDisposable {
  readonly foreign: ForeignKmePair
  readonly fronts: readonly [Front, Front]
  readonly configs: readonly [FrontConfig, FrontConfig]
  /** A host's KMS over mutual TLS, through the front of its site. */
  remote(saeId: string): Kms
}

/** Starts them; `change` is laid over the configuration of each front. */
export async function createFrontPair(change: Partial<FrontConfig> = {}): Promise<FrontPair> {
  const authority = createTestAuthority()
  const vendor = [authority.issue('NULLA-QKD-7F-A'), authority.issue('NULLA-QKD-7F-B')] as const
  const foreign = await createForeignKmePair(vendor, [HOSTS['site-a'], HOSTS['site-b']], {
    keyIds: 'lower',
    stock: 300,
  })
  const configOf = (siteId: SiteId, peerSiteId: SiteId): FrontConfig => {
    const kme = foreign.kmes[siteId === 'site-a' ? 0 : 1]
    return {
      siteId,
      kmeId: `front-${siteId}`,
      listen: { host: '127.0.0.1', port: 0 },
      tls: authority.issue(`front-${siteId}`),
      saes: HOSTS[siteId].map(saeId => ({ saeId, tls: authority.issue(saeId) })),
      kmes: [
        { peerSiteId, saes: HOSTS[peerSiteId], kme: kme.url, kmeId: kme.kmeId, level: 'quantum', trustClass: 'direct' },
      ],
      keys: { keySizeBits: 256, minKeySizeBits: 64, maxKeySizeBits: 4_096, maxKeyPerRequest: 128 },
      ...change,
    }
  }
  const configs = [configOf('site-a', 'site-b'), configOf('site-b', 'site-a')] as const
  const fronts = [await createFront(configs[0]), await createFront(configs[1])] as const
  return {
    foreign,
    fronts,
    configs,
    remote: saeId => {
      const site = saeId === 'alice' ? 0 : 1
      const tls = authority.issue(saeId)
      return createAccessKms({ kme: fronts[site].address.etsi014.url, kmeId: configs[site].kmeId, tls }, { saeId })
    },
    [Symbol.asyncDispose]: async () => {
      for (const front of fronts) await front.close()
      await foreign[Symbol.asyncDispose]()
    },
  }
}
