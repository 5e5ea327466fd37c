import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { createEtsi014Handler } from '../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../lib/etsi014/sae-identity.ts'
import { createHttpsServer } from '../../lib/http/https-server.ts'
import { createInProcessTransport } from '../../lib/http/in-process-transport.ts'
import type { Closable } from '../../lib/interface/lifecycle.ts'
import { type KmsFixture, kmsCompliance } from '../compliance/kms.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'
import { createTestSites, type TestSites } from '../helpers/test-sites.ts'

/** What the suite needs, over real sites and one `Kms` for each of the three hosts. */
interface Fixture extends KmsFixture {
  close(): Promise<void>
}

/** Small pools, so that they are soon used up, and little patience with an empty one. */
const pool = { targetBlocks: 2, maxWaitMs: 200 }
const saes = [{ saeId: 'alice' }, { saeId: 'bob' }, { saeId: 'carol' }]

async function fixtureOf(
  sites: TestSites,
  opened: Closable[],
  open: (saeId: string, site: 0 | 1) => TestSites['alice'],
) {
  const fixture: Fixture = {
    alice: open('alice', 0),
    bob: open('bob', 1),
    carol: open('carol', 1),
    unknownSaeId: 'mallory',
    deniedLevel: 'post-quantum',
    openAlice: async () => open('alice', 0),
    stopGeneration: async () => sites.cutLink(),
    startGeneration: async () => sites.mendLink(),
    close: async () => {
      for (const closable of [fixture.alice, fixture.bob, fixture.carol, ...opened]) await closable.close()
      await sites[Symbol.asyncDispose]()
    },
  }
  // The first key of each lane takes longer than these pools have patience.
  for (const [master, slave] of [
    ['alice', 'bob'],
    ['bob', 'alice'],
  ] as const) {
    while ((await fixture[master].getStatus(slave)).storedKeyCount === 0)
      await fixture[master].getKey(slave).catch(() => {})
  }
  return fixture
}

const teardown = (fixture: KmsFixture) => (fixture as Fixture).close()

kmsCompliance({
  backend: 'embedded',
  setup: async () => {
    const sites = await createTestSites({ pool })
    return fixtureOf(sites, [], (saeId, site) => sites.sites[site].kmsFor(saeId))
  },
  teardown,
})

kmsCompliance({
  backend: 'remote, in process',
  setup: async () => {
    const sites = await createTestSites({ pool })
    const opened: Closable[] = []
    const handlers = sites.sites.map(directory => createEtsi014Handler({ directory, saeIdentity: saeIdentifier(saes) }))
    return fixtureOf(sites, opened, (saeId, site) => {
      const identity = { commonName: saeId, uriSans: [], dnsSans: [], fingerprint256: '', serialNumber: '' }
      const transport = createInProcessTransport(handlers[site]!, { identity })
      opened.push(transport)
      return createRemoteKms({ transport, saeId })
    })
  },
  teardown,
})

kmsCompliance({
  backend: 'remote, mutual TLS',
  setup: async () => {
    const sites = await createTestSites({ pool })
    const authority = createTestAuthority()
    const servers = sites.sites.map((directory, n) =>
      createHttpsServer({
        ...authority.issue(`kme-${n}`),
        handler: createEtsi014Handler({ directory, saeIdentity: saeIdentifier(saes) }),
      }),
    )
    for (const server of servers) await server.listen()
    return fixtureOf(sites, servers, (saeId, site) =>
      createRemoteKms({
        baseUrl: servers[site]!.url,
        ...authority.issue(saeId),
        expectedKmeId: `kme-${site}`,
        saeId,
      }),
    )
  },
  teardown,
})
