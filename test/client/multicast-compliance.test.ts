import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { createEtsi014Handler } from '../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../lib/etsi014/sae-identity.ts'
import { createHttpsServer } from '../../lib/http/https-server.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { Closable } from '../../lib/interface/lifecycle.ts'
import { type KmsMulticastFixture, kmsMulticastCompliance } from '../compliance/kms-multicast.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { HOSTS, type SiteName, ThreeSites } from '../helpers/three-sites.ts'

interface Fixture extends KmsMulticastFixture {
  close(): Promise<void>
}

const SITES = Object.keys(HOSTS) as SiteName[]

function fixtureOf(
  mesh: ThreeSites,
  opened: readonly Closable[],
  open: (saeId: string, siteId: SiteName) => Kms,
): Fixture {
  const hosts = Object.fromEntries(SITES.flatMap(site => HOSTS[site].map(saeId => [saeId, open(saeId, site)])))
  const close = async () => {
    for (const closable of [...Object.values(hosts), ...opened]) await closable.close()
    await mesh[Symbol.asyncDispose]()
  }
  return { ...(hosts as unknown as KmsMulticastFixture), close }
}

const teardown = (fixture: KmsMulticastFixture) => (fixture as Fixture).close()

kmsMulticastCompliance({
  backend: 'embedded',
  setup: async () => {
    const mesh = await ThreeSites.open()
    return fixtureOf(mesh, [], saeId => mesh.host(saeId))
  },
  teardown,
})

kmsMulticastCompliance({
  backend: 'remote, mutual TLS',
  setup: async () => {
    const mesh = await ThreeSites.open()
    const authority = createTestAuthority()
    const saeIdentity = saeIdentifier(Object.values(HOSTS).flatMap(hosts => hosts.map(saeId => ({ saeId }))))
    const servers = SITES.map(siteId => {
      const handler = createEtsi014Handler({ directory: mesh.sites[siteId].kms, saeIdentity })
      return createHttpsServer({ ...authority.issue(`kme-${siteId}`), handler })
    })
    for (const server of servers) await server.listen()
    return fixtureOf(mesh, servers, (saeId, siteId) =>
      createRemoteKms({ baseUrl: servers[SITES.indexOf(siteId)]!.url, ...authority.issue(saeId), saeId }),
    )
  },
  teardown,
})
