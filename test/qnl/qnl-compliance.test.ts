import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { Link } from '../../lib/interface/link.ts'
import type { Qnl } from '../../lib/interface/qnl.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../../lib/qnl/direct-qnl.ts'
import { createRemoteQnl } from '../../lib/qnl/remote-qnl.ts'
import { serveQnl } from '../../lib/qnl/serve-qnl.ts'
import { type QnlFixture, qnlCompliance } from '../compliance/qnl.ts'

const closers = new WeakMap<QnlFixture, () => Promise<unknown>>()

/** Two sites on a link, each with the QNL that `toQnl` makes of its embedded one. */
function createFixture(toQnl: (embedded: Qnl) => Qnl): QnlFixture {
  const linkId = 'alice-bob'
  const links = createSimulatedLinkPair({ linkId, siteIds: ['alice', 'bob'], rateBps: 100_000_000, bufferBlocks: 16 })
  const embedded = links.map((link: Link) => new DirectQnl({ siteId: link.localSiteId, links: [link] }))
  const qnls = embedded.map(toQnl) as [Qnl, Qnl]
  const fixture: QnlFixture = {
    qnls,
    interrupt: async () => links[0].interrupt(),
    restore: async () => links[0].restore(),
  }
  closers.set(fixture, () => Promise.all([...qnls, ...embedded, ...links].map(part => part.close())))
  return fixture
}

const teardown = async (fixture: QnlFixture) => void (await closers.get(fixture)?.())

qnlCompliance({
  backend: 'direct, embedded',
  setup: async () => createFixture(embedded => embedded),
  teardown,
})

qnlCompliance({
  backend: 'direct, remote',
  setup: async () =>
    createFixture(embedded => {
      const { siteId } = embedded
      const [atQnl, atKms] = createMemoryChannelPair([`qnl-${siteId}`, `kme-${siteId}`])
      void serveQnl(embedded, atQnl, { peerIds: [`kme-${siteId}`] })
      return createRemoteQnl({ siteId, channel: atKms })
    }),
  teardown,
})
