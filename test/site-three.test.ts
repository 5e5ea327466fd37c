import { expect } from 'chai'
import type { SiteConfig } from '../lib/config/site-config.ts'
import { createMlDsaAuthority, issueMlDsaCertificate } from '../lib/key/ml-dsa-issue.ts'
import { siteUri } from '../lib/key/site-identity.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../lib/site.ts'
import { createTestAuthority } from './helpers/test-certificates.ts'
import { until } from './helpers/until.ts'

const HOSTS: Readonly<Record<string, readonly string[]>> = { a: ['alice'], b: ['bob', 'bea'], c: ['carl'] }
const listen = { host: '127.0.0.1', port: 0 }

/** Three sites as their configurations make them, each a neighbour of both others, with certificates of ML-DSA-65. */
async function threeSites(): Promise<Record<'a' | 'b' | 'c', ServedSite> & AsyncDisposable> {
  const authority = createTestAuthority()
  const mlDsaCa = createMlDsaAuthority({ commonName: 'sites', days: 1 })
  const sites: Record<string, ServedSite> = {}
  // The one that sorts last is dialled by the others, so it is first.
  for (const name of ['c', 'b', 'a']) {
    const siteId = `site-${name}`
    const own = issueMlDsaCertificate(mlDsaCa, { commonName: siteId, uris: [siteUri(siteId)], days: 1 })
    const others = Object.keys(HOSTS).filter(other => other !== name)
    const config: SiteConfig = {
      siteId,
      kmeId: `kme-${name}`,
      listen,
      peerListen: listen,
      ops: listen,
      tls: authority.issue(`kme-${name}`),
      mlDsa: { cert: own.certificatePem, key: own.privateKeyPem, ca: mlDsaCa.certificatePem },
      saes: HOSTS[name]!.map(saeId => ({ saeId })),
      peers: others.map(other => ({
        siteId: `site-${other}`,
        kmeId: `kme-${other}`,
        saes: HOSTS[other]!,
        ...(other > name ? sites[other]!.address.peer : {}),
      })),
      links: others.map(other => {
        const linkId = [name, other].sort().join('-')
        const common = { linkId, kind: 'simulated', rateBps: 100_000_000, peerSiteId: `site-${other}` } as const
        if (other < name) return { ...common, ...listen, role: 'listen' }
        return { ...common, host: '127.0.0.1', port: sites[other]!.address.links[linkId]!.port, role: 'connect' }
      }),
      store: { kind: 'memory' },
      pool: DEFAULT_POOL,
      keys: DEFAULT_KEYS,
    }
    sites[name] = await createSite(config)
  }
  const close = async () => void (await Promise.all(Object.values(sites).map(site => site.close())))
  return { ...(sites as Record<'a' | 'b' | 'c', ServedSite>), [Symbol.asyncDispose]: close }
}

describe('three sites by configuration', function () {
  this.timeout(60_000)

  it('give one key to hosts of all, and refresh their secrets under signatures of both sites', async () => {
    await using sites = await threeSites()
    const alice = sites.a.kmsFor('alice')
    const share = () => alice.getKey('bob', { additionalSlaveSaeIds: ['bea', 'carl'] }).catch(() => undefined)
    let keys = await share()
    await until(async () => {
      keys = keys ?? (await share())
      return keys !== undefined
    }, 'the pools are filled')
    sites.a.refreshSecrets()
    const secrets = (site: ServedSite) => site.status().pools.map(({ secret }) => secret)
    await until(() => secrets(sites.a).every(secret => secret?.epoch === 1), 'both secrets of site a are refreshed')
    for (const secret of secrets(sites.a)) expect(secret).to.include({ isSigned: true, kem: 'ML-KEM-1024' })
    for (const [site, saeId] of [
      ['b', 'bob'],
      ['b', 'bea'],
      ['c', 'carl'],
    ] as const) {
      const [same] = await sites[site].kmsFor(saeId).getKeyWithIds('alice', [keys![0]!.keyId])
      expect(same!.secret.equals(keys![0]!.secret)).to.equal(true)
    }
    expect((await alice.getKey('carl', { additionalSlaveSaeIds: ['bob'] }))[0]!.level).to.equal('quantum')
    const { host, port } = sites.a.address.ops!
    await until(async () => {
      const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text()
      const isEpoch = /pair_secret_epoch\{.*peer="site-c"\} 1/.test(metrics)
      return isEpoch && /pair_secret_refreshes_total\{.*"refreshed"\} 1/.test(metrics)
    }, 'the metrics tell the epoch')
  })
})
