import { expect } from 'chai'
import { createBb84LinkPair } from '../../../lib/qll/bb84/link/bb84-link-pair.ts'
import { sightingAt } from '../../../lib/qll/satellite/orbit.ts'
import { SATELLITE_PRESETS } from '../../../lib/qll/satellite/presets.ts'
import { passYieldBits, promisedBps } from '../../../lib/qll/satellite/promise.ts'
import { satelliteChannel } from '../../../lib/qll/satellite/satellite-channel.ts'
import { satellitePath, usablePasses } from '../../../lib/qll/satellite/timetable.ts'
import { createLocalPair } from '../../../lib/site.ts'
import { until } from '../../helpers/until.ts'
import { VirtualClock } from '../../helpers/virtual-clock.ts'

const HOUR_MS = 3_600_000
const KEY_BITS = 4096
/** Of what the model expects, as much is promised: blocks scatter, and the last one of a pass may be cut off. */
const PROMISED_SHARE = 0.8

describe('satellite link', function () {
  this.timeout(120_000)

  it('has its pool bridge 12 hours between two passes at the demand that was promised', async () => {
    const { satellite, protocol, ...preset } = SATELLITE_PRESETS['leo-2017']
    // Fast enough that a pass fills more than a handful of the pool's blocks.
    const receiver = { ...preset.receiver, clockHz: 2.5e8 }
    const keyBits = 2 ** 18
    const passes = [6, 18].map(hour => ({ culminationMs: hour * HOUR_MS, maximumElevationDeg: 80 }))
    const [first, second] = usablePasses(satellite, passes)
    const yieldBits = PROMISED_SHARE * passYieldBits(receiver, satellite, { pass: first!, protocol, keyBits })
    const promised = promisedBps([{ atMs: first!.untilMs, bits: yieldBits }], {
      capacityBits: 1e9,
      stockBits: 0,
      fromMs: first!.untilMs,
      untilMs: second!.untilMs,
    })
    expect(promised).to.be.within(40, 400)

    const clock = new VirtualClock()
    const links = createBb84LinkPair({
      linkId: 'sky',
      kind: 'satellite',
      siteIds: ['site-a', 'site-b'],
      channel: satelliteChannel(receiver, satellite, sightingAt({ ...satellite, ...first! }, 0)),
      path: satellitePath(receiver, satellite, { passes, now: () => clock.now() }),
      clock,
      protocol,
      keyBits,
      bufferBlocks: 256,
    })
    const [a, b] = await createLocalPair({ links, pool: { targetBlocks: 64, minBlocks: 64, maxWaitMs: 2000 } })
    await using _a = a
    await using _b = b
    const [alice, bob] = [a.kmsFor('alice'), b.kmsFor('bob')]
    const issuable = () => [a, b].reduce((sum, site) => sum + site.status().pools[0]!.issuableCells, 0)
    const shows = (dark: boolean) =>
      until(
        () => links.every(link => (link.status().state === 'down') === dark),
        `a link that is ${dark ? 'dark' : 'bright'}`,
      )

    const waits = () => /^No satellite in view until 1970-01-01T05:5/.test(links[0].status().reason ?? '')
    await until(waits, 'a link that says when it goes on')
    expect(links[0].status()).to.include({ kind: 'satellite', state: 'down', rateBps: 0 })
    expect(issuable()).to.equal(0)

    clock.raise(first!.untilMs + 60_000)
    await shows(false)
    await until(() => clock.now() > first!.untilMs, 'the end of the first pass', { timeoutMs: 60_000 })
    await shows(true)
    const neededCells = (promised * 12 * 3600) / 256
    await until(() => issuable() >= neededCells, `${neededCells} cells in the pool`, { timeoutMs: 10_000 })

    const ways = [
      [
        [alice, bob],
        ['alice', 'bob'],
      ],
      [
        [bob, alice],
        ['bob', 'alice'],
      ],
    ] as const
    let servedBits = 0
    for (let hour = 1; hour <= 12; hour++) {
      clock.raise(first!.untilMs + hour * HOUR_MS - 60_000)
      const dueBits = promised * hour * 3600
      while (servedBits < dueBits) {
        const number = Math.min(Math.ceil((dueBits - servedBits) / KEY_BITS), 32)
        // Either half of the pool has its share.
        const [[from, to], [master, slave]] = ways[hour % 2]!
        const keys = await from.getKey(slave, { number, sizeBits: KEY_BITS })
        const same = await to.getKeyWithIds(
          master,
          keys.map(({ keyId }) => keyId),
        )
        for (const [at, { secret }] of keys.entries()) expect(secret.equals(same[at]!.secret)).to.equal(true)
        for (const { secret } of [...keys, ...same]) secret.wipe()
        servedBits += number * KEY_BITS
      }
    }
    expect(servedBits / (12 * 3600)).to.be.at.least(promised)

    const before = issuable()
    clock.raise(second!.culminationMs)
    await shows(false)
    await until(() => issuable() > before, 'key of the second pass', { timeoutMs: 60_000 })
    console.log(
      `      promised and served ${promised.toFixed(1)} b/s over 12 h; ${before} cells were left at the second pass`,
    )
  })
})
