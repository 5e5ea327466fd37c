import { expect } from 'chai'
import {
  type Bb84LinkConfig,
  type FreeSpaceLinkConfig,
  type LinkConfigFile,
  type SatelliteLinkConfig,
  withLinkDefaults,
} from '../../../lib/config/link-config.ts'
import { createBb84LinkPair } from '../../../lib/qll/bb84/link/bb84-link-pair.ts'
import { designFibre } from '../../../lib/qll/bb84/link/fibre-design.ts'
import { BB84_PRESETS } from '../../../lib/qll/bb84/model/presets.ts'
import { designFreeSpace, designSatellite } from '../../../lib/qll/link-designs.ts'
import { planSchedule } from '../../../lib/qll/switched/schedule.ts'
import { splitterChannel } from '../../../lib/qll/switched/splitter.ts'
import { switchedPath } from '../../../lib/qll/switched/switched-path.ts'
import { linkCompliance } from '../../compliance/link.ts'
import { statusOf } from '../../compliance/link-status.ts'
import { SMALL_LINK, testChannel } from '../../helpers/bb84-link.ts'

type PairOptions = Parameters<typeof createBb84LinkPair>[0]
type Change = Partial<PairOptions> & Pick<PairOptions, 'channel'>

const fast = BB84_PRESETS['li-2023'].receiver
const schedule = planSchedule({
  sites: [{ id: 'alice', modules: 1 }, { id: 'bob' }, { id: 'carol' }],
  links: [
    { id: 'alice-bob', a: 'alice', b: 'bob', timeShare: 0.6 },
    { id: 'alice-carol', a: 'alice', b: 'carol', timeShare: 0.3 },
  ],
  switchingMs: 2,
  periodMs: 100,
})

/** So large that a taker can be faster than the burst of blocks that post-processing brings. */
const COARSE = { blockSizeBytes: 512, bufferBlocks: 8 }

/** A link as a file has it, with the defaults of its kind. */
const configured = (fields: Partial<LinkConfigFile>) =>
  withLinkDefaults(
    { linkId: 'alice-bob', peerSiteId: 'bob', host: '127.0.0.1', port: 0, keyBits: SMALL_LINK.keyBits, ...fields },
    { defaultRole: 'listen', pathOf: path => path },
  )

/** What differs from a plain fibre. */
const kinds: Readonly<Record<string, () => Change>> = {
  'beside classical light': () => designFibre(configured({ preset: 'li-2023', classicalDbm: -6 }) as Bb84LinkConfig),
  'behind a splitter': () => ({ channel: splitterChannel(fast, { ways: 4 }, { lengthKm: 5 }) }),
  'behind a switch': () => {
    const channel = testChannel()
    const path = switchedPath(() => channel, { schedule, linkId: 'alice-bob', now: () => performance.now() })
    return { channel, path, timeShare: 0.6 }
  },
  'free-space': () => designFreeSpace(configured({ kind: 'free-space' }) as FreeSpaceLinkConfig),
  satellite: () => {
    const passes = [{ time: '22:00', maximumElevationDeg: 80 }]
    // A pass that stands still at its highest, so that the suite may take its time.
    const now = () => Date.UTC(2026, 0, 1, 22)
    return designSatellite(configured({ kind: 'satellite', passes }) as SatelliteLinkConfig, now)
  },
}

for (const [name, change] of Object.entries(kinds)) {
  linkCompliance({
    backend: name,
    async setup() {
      const ends = createBb84LinkPair({ ...SMALL_LINK, ...COARSE, siteIds: ['alice', 'bob'], ...change() })
      return { ends, interrupt: async () => ends[0].interrupt(), restore: async () => ends[0].restore() }
    },
    async teardown({ ends }) {
      await Promise.all(ends.map(end => end.close()))
    },
  })
}

describe('kinds of links', () => {
  for (const [name, change] of Object.entries(kinds)) {
    it(`say what they are: ${name}`, async () => {
      const options = change()
      const ends = createBb84LinkPair({ ...SMALL_LINK, ...COARSE, siteIds: ['alice', 'bob'], ...options })
      for (const end of ends) {
        const status = await statusOf(end, ({ state }) => state === 'up')
        expect(status).to.include({ kind: options.kind ?? 'fibre', secrecy: 'quantum', simulated: true })
      }
      await Promise.all(ends.map(end => end.close()))
    })
  }

  it('tell the rate of the time that they have', async () => {
    const rate = async (options: Partial<PairOptions>) => {
      const ends = createBb84LinkPair({ ...SMALL_LINK, ...COARSE, siteIds: ['alice', 'bob'], ...options })
      const { rateBps } = await statusOf(ends[0], ({ state }) => state === 'up')
      await Promise.all(ends.map(end => end.close()))
      return rateBps
    }
    expect((await rate({ timeShare: 0.25 })) / (await rate({}))).to.be.closeTo(0.25, 0.001)
  })
})
