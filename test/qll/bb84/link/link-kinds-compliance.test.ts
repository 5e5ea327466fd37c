import { expect } from 'chai'
import { createBb84LinkPair } from '../../../../lib/qll/bb84/link/bb84-link-pair.ts'
import { ChannelModel } from '../../../../lib/qll/bb84/model/channel-model.ts'
import { BB84_PRESETS } from '../../../../lib/qll/bb84/model/presets.ts'
import { ramanYield } from '../../../../lib/qll/bb84/model/raman.ts'
import { freeSpaceChannel } from '../../../../lib/qll/free-space/free-space-channel.ts'
import { FREE_SPACE_PRESETS } from '../../../../lib/qll/free-space/presets.ts'
import { sightingAt } from '../../../../lib/qll/satellite/orbit.ts'
import { SATELLITE_PRESETS } from '../../../../lib/qll/satellite/presets.ts'
import { satelliteChannel } from '../../../../lib/qll/satellite/satellite-channel.ts'
import { satellitePath } from '../../../../lib/qll/satellite/timetable.ts'
import { planSchedule } from '../../../../lib/qll/switched/schedule.ts'
import { splitterChannel } from '../../../../lib/qll/switched/splitter.ts'
import { switchedPath } from '../../../../lib/qll/switched/switched-path.ts'
import { linkCompliance } from '../../../compliance/link.ts'
import { statusOf } from '../../../compliance/link-status.ts'
import { SMALL_LINK, testChannel } from '../../../helpers/bb84-link.ts'

type PairOptions = Parameters<typeof createBb84LinkPair>[0]
type Change = Partial<PairOptions> & Pick<PairOptions, 'channel'>

const fast = BB84_PRESETS['li-2023'].receiver
const satellite = SATELLITE_PRESETS['leo-fast']
const pass = { culminationMs: 0, maximumElevationDeg: 80 }
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

/** What differs from a plain fibre. */
const kinds: Readonly<Record<string, () => Change>> = {
  'beside classical light': () => {
    const light = { launchPowerDbm: -3, direction: 'co', filterNm: 0.1, gatePs: 100 } as const
    const stray = ramanYield(light, { ...fast, lengthKm: 10 })
    return { channel: new ChannelModel(fast, { lengthKm: 10, ramanYield: stray }) }
  },
  'behind a splitter': () => ({ channel: splitterChannel(fast, { ways: 4 }, { lengthKm: 5 }) }),
  'behind a switch': () => {
    const channel = testChannel()
    const path = switchedPath(() => channel, { schedule, linkId: 'alice-bob', now: () => performance.now() })
    return { channel, path, timeShare: 0.6 }
  },
  'free-space': () => {
    const { receiver, air, protocol } = FREE_SPACE_PRESETS['roofs-night']
    return { kind: 'free-space', channel: freeSpaceChannel(receiver, air, { lengthKm: 1 }), protocol }
  },
  satellite: () => ({
    kind: 'satellite',
    // A pass that stands still at its highest, so that the suite may take its time.
    path: satellitePath(satellite.receiver, satellite.satellite, { passes: [pass], now: () => 0 }),
    channel: satelliteChannel(
      satellite.receiver,
      satellite.satellite,
      sightingAt({ ...satellite.satellite, ...pass }, 0),
    ),
    protocol: satellite.protocol,
  }),
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
