import { expect } from 'chai'
import { virtualNumber } from '../../../lib/key/virtual-block.ts'
import type { MessageFields } from '../../../lib/kms/pool/peer-wire.ts'
import { alteredChannel } from '../../helpers/altered-channel.ts'
import { PoolPair, type PoolSite } from '../../helpers/pool-pair.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const terms = { allows: () => true, cellsPerBlock: () => 40 }

type Open = MessageFields<'open'>

/** What site B does with a block that site A opens in a way that is not its own. */
async function expectRefused(
  kind: 5 | 6,
  alter: (open: Open) => Partial<Open>,
  why: string | undefined,
): Promise<void> {
  await using sites = await PoolPair.open({ virtual: terms })
  let isFirst = true
  sites.connect(channel => {
    // The first of both channels is site A's.
    if (!isFirst) return channel
    isFirst = false
    return alteredChannel(channel, message =>
      message.name === 'open' && (message.seedBlock !== 0n) === (kind === 5)
        ? { ...message, ...alter(message) }
        : message,
    )
  })
  const [a, b] = sites.sites
  await until(() => dropped(a) > 0, 'the owner drops what was refused')
  if (why !== undefined) await until(() => alarms(b).join('\n').includes(why), `site B says "${why}"`)
  await rejectsWith(a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: kind, waitMs: 50 }), 'ERR_QKD_POOL_EXHAUSTED')
  // Everything else goes on as before.
  const other = kind === 5 ? 6 : 5
  for (const suite of [2, other] as const) {
    const [key] = await a.pool.issue({ pair, number: 1, sizeBytes: 32, suite, waitMs: 8000 })
    const [same] = await b.pool.retrieve(pair, [key!.keyId], { waitMs: 8000 })
    expect(same!.secret.equals(key!.secret)).to.equal(true)
  }
}

describe('a pool whose peer opens virtual blocks as it may not', function () {
  this.timeout(60_000)

  for (const [title, kind, alter, why] of [
    ['without a cell', 5, () => ({ cells: 0 }), 'it has 0 cells'],
    ['above the budget of a seed', 5, () => ({ cells: 41 }), 'it has 41 cells; the policy allows 40'],
    ['beyond what a block has', 6, () => ({ cells: 999 }), 'it has 999 cells'],
    ['under the number of a network block', 5, () => ({ block: 1_000_000n }), 'not one of a virtual block of the peer'],
    [
      "under a number of this site's own",
      6,
      ({ block }: Open) => ({ block: block | 1n }),
      'not one of a virtual block',
    ],
    ['from a seed that is not under lease', 5, () => ({ seedOffset: 997 }), 'its seed is not a cell under lease'],
    [
      'from a seed of a block that nobody knows',
      5,
      () => ({ seedBlock: 1n << 40n }),
      'its seed is not a cell under lease',
    ],
    [
      'from a seed that was expanded itself',
      5,
      () => ({ seedBlock: virtualNumber('post-quantum', 0, 1n) }),
      'its seed is not a cell under lease',
    ],
    ['from a seed of a block that this site owns', 5, () => ({ seedBlock: 1n }), 'its seed is not a cell under lease'],
    ['under another epoch of the pair secret', 6, ({ epoch }: Open) => ({ epoch: epoch + 1 }), undefined],
    // Both make a block, and not the same one. The cell that the peer named is lost to it.
    [
      'from another seed than its own',
      5,
      ({ seedOffset }: Open) => ({ seedOffset: seedOffset + 10 }),
      'differs between',
    ],
  ] as const) {
    it(`refuses one ${title}, and loses nothing else`, () => expectRefused(kind, alter, why))
  }

  it('refuses a number that was spent, whatever its kind', async () => {
    await using sites = await PoolPair.open({ virtual: terms })
    sites.connect()
    const [a, b] = sites.sites
    const [poolId] = await b.store.poolIds()
    await a.pool.issue({ pair, number: 1, sizeBytes: 32, suite: 6, waitMs: 8000 })
    await sites.disconnect()
    // As if the owner had forgotten what it opened.
    const { pool } = await a.store.snapshot(poolId!)
    expect(pool.virtualFloors[0] > 0n).to.equal(true)
    const behind = [0n, pool.virtualFloors[1]] as const
    await a.store.commit(poolId!, [{ kind: 'pool', poolEpoch: pool.poolEpoch, patch: { virtualFloors: behind } }])
    await sites.restart(0)
    sites.connect()
    await until(() => alarms(b).some(text => text.includes('number is spent')), 'the number is refused')
    expect(new Set(taken(b)).size).to.equal(taken(b).length)
  })
})

/** Numbers of the virtual blocks that a site has taken in. */
function taken({ events }: PoolSite): string[] {
  return events.flatMap(event => (event.type === 'block' && event.row === 30 ? event.block : []))
}

function dropped({ events }: PoolSite): number {
  return events.filter(event => event.type === 'block' && event.to === 'dropped' && BigInt(event.block) >> 63n === 1n)
    .length
}

function alarms({ events }: PoolSite): string[] {
  return events.flatMap(event => (event.type === 'alarm' && event.state === 'raised' ? event.text : []))
}
