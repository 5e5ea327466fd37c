import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import { dialTlsChannel } from '../../../lib/channel/tls-dial.ts'
import { createTlsChannelListener } from '../../../lib/channel/tls-listener.ts'
import type { Link } from '../../../lib/interface/link.ts'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import { LinkShelf } from '../../../lib/qll/remote/link-shelf.ts'
import { createRemoteLink } from '../../../lib/qll/remote/remote-link.ts'
import { serveLink } from '../../../lib/qll/remote/serve-link.ts'
import { createSimulatedLinkPair } from '../../../lib/qll/simulated-link-pair.ts'
import { type LinkFixture, linkCompliance } from '../../compliance/link.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'

const ends = new WeakMap<LinkFixture, () => Promise<void>>()

/** Both ends of a simulated link, each in front of its own network layer; `reach` brings a channel to the other side. */
async function fixtureOf(
  reach: (serve: (channel: MessageChannel) => void) => Promise<{
    dial: () => Promise<MessageChannel>
    close: () => Promise<void>
  }>,
): Promise<LinkFixture> {
  const siteIds = ['alice', 'bob'] as const
  const local = createSimulatedLinkPair({ linkId: 'alice-bob', siteIds, rateBps: 100_000_000, bufferBlocks: 16 })
  const closing: (() => Promise<void>)[] = []
  const remote = await Promise.all(
    local.map(async link => {
      const shelf = new LinkShelf(link)
      const { dial, close } = await reach(channel => {
        void serveLink(new Map([[link.linkId, shelf]]), channel, { peerIds: [channel.peerId] }).catch(() => {})
      })
      const { linkId, localSiteId, remoteSiteId } = link
      closing.push(close, () => link.close())
      return createRemoteLink({
        linkId,
        localSiteId,
        remoteSiteId,
        expected: link.status(),
        dial,
        backOff: { minMs: 5, maxMs: 50 },
      })
    }),
  )
  const fixture: LinkFixture = {
    ends: remote as unknown as [Link, Link],
    interrupt: async () => local[0].interrupt(),
    restore: async () => local[0].restore(),
  }
  ends.set(fixture, async () => {
    for (const close of closing) await close()
  })
  return fixture
}

const teardown = async (fixture: LinkFixture) => {
  await Promise.all(fixture.ends.map(end => end.close()))
  await ends.get(fixture)!()
}

linkCompliance({
  backend: 'in a process of its own, over a channel in memory',
  setup: () =>
    fixtureOf(async serve => ({
      dial: async () => {
        const [ours, theirs] = createMemoryChannelPair(['qnl', 'link'])
        serve(theirs)
        return ours
      },
      close: async () => {},
    })),
  teardown,
})

linkCompliance({
  backend: 'in a process of its own, over mutual TLS',
  setup: () => {
    const credentials = createTestAuthority().issue('kme')
    const identify = () => 'kme'
    return fixtureOf(async serve => {
      const listener = createTlsChannelListener({ ...credentials, identify, onChannel: serve })
      const { host, port } = await listener.listen()
      return {
        dial: () => dialTlsChannel({ ...credentials, host, port, expectedPeerId: 'kme', identify }),
        close: () => listener.close(),
      }
    })
  },
  teardown,
})
