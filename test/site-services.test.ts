import { connect } from 'node:tls'
import { expect } from 'chai'
import { dialTlsChannel } from '../lib/channel/tls-dial.ts'
import type { SiteConfig } from '../lib/config/site-config.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../lib/site.ts'
import { createLinkService, type LinkService } from '../lib/site-link-service.ts'
import { createNetworkNode, type NetworkNodeServer } from '../lib/site-network.ts'
import type { ListenAddress } from '../lib/util/listen.ts'
import { rejectsWith } from './helpers/rejects-with.ts'
import { createTestAuthority } from './helpers/test-certificates.ts'
import { until } from './helpers/until.ts'

const authority = createTestAuthority()
const here = { host: '127.0.0.1', port: 0 }

function configOf(siteId: 'site-a' | 'site-b', rest: Partial<SiteConfig>): SiteConfig {
  const [saeId, other, otherSae] = siteId === 'site-a' ? ['alice', 'site-b', 'bob'] : ['bob', 'site-a', 'alice']
  return {
    siteId,
    kmeId: `kme-${siteId}`,
    listen: here,
    peerListen: here,
    tls: authority.issue(`kme-${siteId}`),
    saes: [{ saeId }],
    peers: [{ siteId: other, kmeId: `kme-${other}`, saes: [otherSae] }],
    links: [],
    store: { kind: 'memory' },
    pool: DEFAULT_POOL,
    keys: DEFAULT_KEYS,
    ...rest,
  }
}

describe('a site in three parts', () => {
  const link = { linkId: 'a-b', kind: 'simulated', rateBps: 100_000_000, host: '127.0.0.1' } as const
  let whole: ServedSite
  let links: LinkService
  let node: NetworkNodeServer
  let kms: ServedSite
  let config: SiteConfig

  before(async () => {
    whole = await createSite(
      configOf('site-b', { links: [{ ...link, peerSiteId: 'site-a', role: 'listen', port: 0 }] }),
    )
    config = configOf('site-a', {
      links: [{ ...link, peerSiteId: 'site-b', role: 'connect', port: whole.address.links['a-b']!.port }],
      peers: [{ siteId: 'site-b', kmeId: 'kme-site-b', saes: ['bob'], ...whole.address.peer }],
      ops: here,
    })
    links = await createLinkService({ ...config, services: { links: { ...here, ops: here } } })
    const atLinks = { ...links.address.service, ops: here }
    node = await createNetworkNode({ ...config, services: { links: atLinks, qnl: { ...here, ops: here } } })
    kms = await createSite({ ...config, services: { qnl: node.address.qnl } })
  })

  after(async () => {
    for (const part of [kms, node, links, whole]) await part.close()
  })

  const ask = async ({ host, port }: ListenAddress, path: string) => {
    const response = await fetch(`http://${host}:${port}${path}`)
    return { status: response.status, text: await response.text() }
  }

  it('shares keys with another site, as a site in one process does', async () => {
    const [alice, bob] = [kms.kmsFor('alice'), whole.kmsFor('bob')]
    await until(async () => (await alice.getStatus('bob')).storedKeyCount > 0, 'the pool has keys')
    const [given] = await alice.getKey('bob')
    const [fetched] = await bob.getKeyWithIds('alice', [given!.keyId])
    expect(given!.secret.equals(fetched!.secret)).to.equal(true)
    expect(given).to.include({ level: 'quantum', trustClass: 'direct' })
  })

  it('has health, readiness and metrics of its own in each part', async () => {
    for (const [name, at] of [
      ['links', links.address.ops],
      ['network layer', node.address.ops],
      ['KMS', kms.address.ops],
    ] as const) {
      expect(await ask(at!, '/healthz'), name).to.deep.equal({ status: 200, text: 'ok\n' })
      await until(async () => (await ask(at!, '/readyz')).status === 200, `${name} are ready`)
      const { text } = await ask(at!, '/metrics')
      expect(text, name).to.match(/^# EOF$/m)
      if (name !== 'KMS') expect(text, name).to.match(/^qkd_link_rate_bits_per_second\{.*link="a-b".*\} |link_rate/m)
    }
  })

  it('hands key to nobody who lacks the certificate of the site', async () => {
    for (const address of [links.address.service, node.address.qnl]) {
      for (const name of ['alice', 'kme-site-b']) {
        const dialling = dialTlsChannel({
          ...authority.issue(name),
          ...address,
          expectedPeerId: 'kme-site-a',
          identify: () => 'kme-site-a',
        })
        await rejectsWith(dialling, 'ERR_QKD_KME_UNREACHABLE')
      }
      const bare = connect({ ...address, rejectUnauthorized: false })
      bare.on('error', () => {}).resume()
      await new Promise(resolve => bare.once('close', resolve))
    }
  })

  it('is refused where the configuration does not say where the parts meet', async () => {
    await rejectsWith(createLinkService(config), 'ERR_QKD_INVALID_ARGUMENT')
    await rejectsWith(createNetworkNode(config), 'ERR_QKD_INVALID_ARGUMENT')
  })
})
