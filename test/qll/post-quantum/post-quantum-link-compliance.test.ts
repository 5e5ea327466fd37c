import { SecretKey } from '../../../lib/key/secret-key.ts'
import { SharedKeyTranscripts } from '../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import {
  createPostQuantumConnector,
  createPostQuantumListener,
  createPostQuantumPair,
} from '../../../lib/qll/post-quantum/post-quantum-link.ts'
import { type LinkFixture, linkCompliance } from '../../compliance/link.ts'
import { createTcpRelay, type TcpRelay } from '../tcp-relay.ts'

const rateBps = 100_000_000

linkCompliance({
  backend: 'post-quantum, in one process',
  async setup() {
    const ends = createPostQuantumPair({ linkId: 'isle', siteIds: ['alice', 'bob'], rateBps, bufferBlocks: 16 })
    return { ends, interrupt: async () => ends[0].interrupt(), restore: async () => ends[0].restore() }
  },
  async teardown({ ends }) {
    await Promise.all(ends.map(end => end.close()))
  },
})

const cables = new WeakMap<LinkFixture, { relay: TcpRelay; psk: SecretKey }>()

linkCompliance({
  backend: 'post-quantum, over TCP',
  async setup() {
    const psk = SecretKey.random(32)
    const common = { linkId: 'isle', rateBps, bufferBlocks: 16, bootstrap: () => new SharedKeyTranscripts(psk) }
    const ids = { localSiteId: 'alice', remoteSiteId: 'bob' }
    const { link, port } = await createPostQuantumListener({ ...common, ...ids, port: 0 })
    const relay = await createTcpRelay(() => port)
    const far = createPostQuantumConnector({
      ...common,
      localSiteId: 'bob',
      remoteSiteId: 'alice',
      port: relay.port,
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
