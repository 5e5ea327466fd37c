import { SecretKey } from '../../../lib/key/secret-key.ts'
import { SharedKeyTranscripts } from '../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import {
  createEtsi014Connector,
  createEtsi014Listener,
  createEtsi014Pair,
} from '../../../lib/qll/etsi014/etsi014-link.ts'
import { type LinkFixture, linkCompliance } from '../../compliance/link.ts'
import { createTcpRelay, type TcpRelay } from '../tcp-relay.ts'
import { createDevicePair, type DevicePair } from './device-pair.ts'

/** Blocks small enough that the suite, which takes hundreds, is quick over a KME that gives 16 kB a call. */
const SMALL = { linkId: 'leased', blockSizeBytes: 512, bufferBlocks: 8 }

const behind = new WeakMap<LinkFixture, { devices: DevicePair; relay?: TcpRelay; psk?: SecretKey }>()

linkCompliance({
  backend: 'ETSI 014 KMEs, in one process',
  async setup() {
    const devices = await createDevicePair()
    const ends = createEtsi014Pair({ ...SMALL, siteIds: ['alice', 'bob'], kmes: devices.kmes })
    const fixture: LinkFixture = {
      ends,
      interrupt: async () => ends[0].interrupt(),
      restore: async () => ends[0].restore(),
    }
    behind.set(fixture, { devices })
    return fixture
  },
  teardown,
})

linkCompliance({
  backend: 'ETSI 014 KMEs, over TCP',
  async setup() {
    const devices = await createDevicePair()
    const psk = SecretKey.random(32)
    const common = { ...SMALL, bootstrap: () => new SharedKeyTranscripts(psk) }
    const { link, port } = await createEtsi014Listener({
      ...common,
      localSiteId: 'alice',
      remoteSiteId: 'bob',
      kme: devices.kmes[0],
      port: 0,
    })
    const relay = await createTcpRelay(() => port)
    const far = createEtsi014Connector({
      ...common,
      localSiteId: 'bob',
      remoteSiteId: 'alice',
      kme: devices.kmes[1],
      port: relay.port,
      backOff: { minMs: 5, maxMs: 50 },
    })
    const fixture: LinkFixture = {
      ends: [link, far],
      interrupt: async () => relay.cut(),
      restore: async () => relay.mend(),
    }
    behind.set(fixture, { devices, relay, psk })
    return fixture
  },
  teardown,
})

async function teardown(fixture: LinkFixture): Promise<void> {
  await Promise.all(fixture.ends.map(end => end.close()))
  const { devices, relay, psk } = behind.get(fixture)!
  await relay?.close()
  await devices[Symbol.asyncDispose]()
  psk?.wipe()
}
