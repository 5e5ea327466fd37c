import { createFrontDoorKms } from '../../lib/client/front-door-kms.ts'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { createEtsi014Handler } from '../../lib/etsi014/handler.ts'
import { saeIdentifier } from '../../lib/etsi014/sae-identity.ts'
import { createInProcessTransport } from '../../lib/http/in-process-transport.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { type KmsFixture, kmsCompliance } from '../compliance/kms.ts'
import { createTestSites } from '../helpers/test-sites.ts'

const saes = [{ saeId: 'alice' }, { saeId: 'bob' }, { saeId: 'carol' }]
const FAR = { alice: ['bob', 'carol'], bob: ['alice'], carol: ['alice'] }
const behind = new WeakMap<KmsFixture, () => Promise<void>>()

kmsCompliance({
  backend: 'front door over two remotes',
  setup: async () => {
    // Small pools, so that they are soon used up, and little patience with an empty one.
    const sites = await createTestSites({ pool: { targetBlocks: 2, maxWaitMs: 200 } })
    const handlers = sites.sites.map(directory => createEtsi014Handler({ directory, saeIdentity: saeIdentifier(saes) }))
    const opened: Kms[] = []
    const open = (saeId: keyof typeof FAR) => {
      const identity = { commonName: saeId, uriSans: [], dnsSans: [], fingerprint256: '', serialNumber: '' }
      const handler = handlers[saeId === 'alice' ? 0 : 1]!
      const remote = () => createRemoteKms({ transport: createInProcessTransport(handler, { identity }), saeId })
      // One for the far site, and another for whoever nobody knows.
      const kms = createFrontDoorKms({ main: remote(), peers: [{ saes: FAR[saeId], kms: remote() }] })
      opened.push(kms)
      return kms
    }
    const fixture: KmsFixture = {
      alice: open('alice'),
      bob: open('bob'),
      carol: open('carol'),
      unknownSaeId: 'mallory',
      deniedLevel: 'post-quantum',
      openAlice: async () => open('alice'),
      stopGeneration: async () => sites.cutLink(),
      startGeneration: async () => sites.mendLink(),
    }
    behind.set(fixture, async () => {
      for (const kms of opened) await kms.close()
      await sites[Symbol.asyncDispose]()
    })
    for (const [master, slave] of [
      ['alice', 'bob'],
      ['bob', 'alice'],
    ] as const) {
      while ((await fixture[master].getStatus(slave)).storedKeyCount === 0)
        await fixture[master].getKey(slave).catch(() => {})
    }
    return fixture
  },
  teardown: fixture => behind.get(fixture)!(),
})
