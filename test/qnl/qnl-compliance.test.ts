import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { dialTlsChannel } from '../../lib/channel/tls-dial.ts'
import { createTlsChannelListener, type TlsChannelListener } from '../../lib/channel/tls-listener.ts'
import type { Link } from '../../lib/interface/link.ts'
import type { Demand, Qnl } from '../../lib/interface/qnl.ts'
import { createSimulatedLinkPair } from '../../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../../lib/qnl/direct-qnl.ts'
import { createRemoteQnl } from '../../lib/qnl/remote-qnl.ts'
import { serveQnl } from '../../lib/qnl/serve-qnl.ts'
import { type QnlFixture, qnlCompliance } from '../compliance/qnl.ts'
import { createRelayNetwork, type RelayNetworkOptions } from '../helpers/relay-network.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

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

/** Alice and bob in a network of nodes, by these paths where there is a plan; cut off where alice's links and channels are. */
async function createRelayFixture(
  options: RelayNetworkOptions,
  paths: readonly string[] = [],
  mode: Demand['mode'] = 'multipath',
): Promise<QnlFixture> {
  const network = await createRelayNetwork({ ...options, limits: { settleMs: 50, resendMs: 200, readyBlocks: 2 } })
  if (paths.length > 0) network.plan({ paths, mode, rateBps: 5_000_000 })
  const cut = options.links.filter(link => link.startsWith('alice-') || link.startsWith('bob-'))
  const fixture: QnlFixture = {
    qnls: [network.node('alice'), network.node('bob')],
    interrupt: async () => {
      await network.cutChannel('alice', 'bob', { keepDown: true })
      for (const link of cut) network.link(link).interrupt()
    },
    waitingBits: side => (side === 0 ? network.node('alice').readyBits('bob') : network.node('bob').readyBits('alice')),
    restore: async () => {
      network.restoreChannel('alice', 'bob')
      for (const link of cut) network.link(link).restore()
    },
  }
  closers.set(fixture, async () => await network[Symbol.asyncDispose]())
  return fixture
}

/** The same, each QNL as the KMS of its site reaches it from another process. */
async function overTls(near: QnlFixture): Promise<QnlFixture> {
  const authority = createTestAuthority()
  const listeners: TlsChannelListener[] = []
  const qnls: Qnl[] = []
  for (const qnl of near.qnls) {
    const [node, kms] = [`qnl-${qnl.siteId}`, `kme-${qnl.siteId}`]
    const listener = createTlsChannelListener({
      ...authority.issue(node),
      identify: ({ commonName }) => commonName,
      onChannel: channel => void serveQnl(qnl, channel, { peerIds: [kms] }),
    })
    listeners.push(listener)
    const address = await listener.listen()
    const tls = { ...authority.issue(kms), ...address, expectedPeerId: node, identify: () => node }
    qnls.push(createRemoteQnl({ siteId: qnl.siteId, dial: ({ signal }) => dialTlsChannel({ ...tls, signal }) }))
  }
  const far: QnlFixture = { ...near, qnls: qnls as [Qnl, Qnl] }
  closers.set(far, async () => {
    await Promise.all(qnls.map(qnl => qnl.close()))
    await Promise.all(listeners.map(listener => listener.close()))
    await teardown(near)
  })
  return far
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

qnlCompliance({
  backend: 'relay node, one link',
  setup: () => createRelayFixture({ links: ['alice-bob'] }),
  teardown,
})

qnlCompliance({
  backend: 'relay node, over two relays',
  setup: () => createRelayFixture({ links: ['alice-r1', 'r1-r2', 'bob-r2'] }, ['alice-r1-r2-bob']),
  teardown,
})

qnlCompliance({
  backend: 'relay node, announcing relays',
  setup: () =>
    createRelayFixture({ links: ['alice-r1', 'r1-r2', 'bob-r2'], pairs: () => ({ announce: true }) }, [
      'alice-r1-r2-bob',
    ]),
  teardown,
})

qnlCompliance({
  backend: 'relay node, remote over mutual TLS',
  setup: async () => overTls(await createRelayFixture({ links: ['alice-r1', 'r1-r2', 'bob-r2'] }, ['alice-r1-r2-bob'])),
  teardown,
})

qnlCompliance({
  backend: 'relay node, two shares',
  setup: () =>
    createRelayFixture(
      { links: ['alice-r1', 'bob-r1', 'alice-r2', 'bob-r2'] },
      ['alice-r1-bob', 'alice-r2-bob'],
      'split',
    ),
  teardown,
})
