import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { createSimulatedLinkConnector, createSimulatedLinkListener } from '../../lib/qll/simulated-link-tcp.ts'
import { type LinkFixture, linkCompliance } from '../compliance/link.ts'
import { createTcpRelay, type TcpRelay } from './tcp-relay.ts'

const rateBps = 100_000_000

linkCompliance({
  backend: 'simulated, in one process',
  async setup() {
    const ends = createSimulatedLinkPair({ linkId: 'alice-bob', siteIds: ['alice', 'bob'], rateBps, bufferBlocks: 16 })
    return { ends, interrupt: async () => ends[0].interrupt(), restore: async () => ends[0].restore() }
  },
  async teardown({ ends }) {
    await Promise.all(ends.map(end => end.close()))
  },
})

const relays = new WeakMap<LinkFixture, TcpRelay>()

linkCompliance({
  backend: 'simulated, over TCP',
  async setup() {
    const linkId = 'alice-bob'
    const common = { linkId, bufferBlocks: 16 }
    const { link, port } = await createSimulatedLinkListener({
      ...common,
      localSiteId: 'alice',
      remoteSiteId: 'bob',
      rateBps,
      port: 0,
    })
    const relay = await createTcpRelay(() => port)
    const far = createSimulatedLinkConnector({
      ...common,
      localSiteId: 'bob',
      remoteSiteId: 'alice',
      rateBps,
      port: relay.port,
      backOff: { minMs: 5, maxMs: 50 },
    })
    const fixture: LinkFixture = {
      ends: [link, far],
      interrupt: async () => relay.cut(),
      restore: async () => relay.mend(),
    }
    relays.set(fixture, relay)
    return fixture
  },
  async teardown(fixture) {
    await Promise.all(fixture.ends.map(end => end.close()))
    await relays.get(fixture)?.close()
  },
})
