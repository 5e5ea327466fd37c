import { SecretKey } from '../../../../lib/key/secret-key.ts'
import { createBb84LinkPair } from '../../../../lib/qll/bb84/link/bb84-link-pair.ts'
import { createBb84LinkConnector, createBb84LinkListener } from '../../../../lib/qll/bb84/link/bb84-link-tcp.ts'
import { SharedKeyTranscripts } from '../../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import { type LinkFixture, linkCompliance } from '../../../compliance/link.ts'
import { SMALL_LINK, testChannel } from '../../../helpers/bb84-link.ts'
import { createTcpRelay, type TcpRelay } from '../../tcp-relay.ts'

/** Slow enough to be waited for: the suite aborts waits, and must find some. The buffer takes more than a block brings. */
const slow = { ...SMALL_LINK, channel: testChannel({ clockHz: 50_000_000 }) }

linkCompliance({
  backend: 'BB84, in one process',
  async setup() {
    const ends = createBb84LinkPair({ ...slow, siteIds: ['alice', 'bob'] })
    return { ends, interrupt: async () => ends[0].interrupt(), restore: async () => ends[0].restore() }
  },
  async teardown({ ends }) {
    await Promise.all(ends.map(end => end.close()))
  },
})

const cables = new WeakMap<LinkFixture, { relay: TcpRelay; psk: SecretKey }>()

linkCompliance({
  backend: 'BB84, over TCP',
  async setup() {
    const psk = SecretKey.random(32)
    const bootstrap = () => new SharedKeyTranscripts(psk)
    const { link, port } = await createBb84LinkListener({
      ...slow,
      localSiteId: 'alice',
      remoteSiteId: 'bob',
      port: 0,
      bootstrap,
    })
    const relay = await createTcpRelay(() => port)
    const far = createBb84LinkConnector({
      ...slow,
      localSiteId: 'bob',
      remoteSiteId: 'alice',
      port: relay.port,
      bootstrap,
      backOff: { minMs: 5, maxMs: 50 },
    })
    const fixture: LinkFixture = {
      ends: [link, far],
      interrupt: async () => relay.cut(),
      restore: async () => relay.mend(),
    }
    cables.set(fixture, { relay, psk })
    return fixture
  },
  async teardown(fixture) {
    await Promise.all(fixture.ends.map(end => end.close()))
    const { relay, psk } = cables.get(fixture)!
    await relay.close()
    psk.wipe()
  },
})
