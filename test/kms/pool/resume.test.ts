import { expect } from 'chai'
import type { BlockRecord, Change } from '../../../lib/interface/pool-store.ts'
import { newBlockRecord } from '../../../lib/kms/store/block-record.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
const POOL = 'site-a|site-b'
/** More than a session has room for in its queue. */
const MANY = 4_300

describe('a session between sites with thousands of blocks to speak of', function () {
  this.timeout(60_000)

  for (const [what, fields] of [
    ['that were dropped', { state: 'dropped' }],
    [
      'of which one key each was not fetched',
      { state: 'ready', horizon: 998, expiry: [{ to: 998, expiresAtMs: 1e15 }] },
    ],
  ] as const) {
    it(`opens, where they are blocks ${what}`, async () => {
      await using sites = await PoolPair.open({ limits: { targetBlocks: 4, lifetimeMs: 86_400_000 } })
      sites.connect()
      await sites.sites[0].pool.issue({ pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 8000 })
      await sites.disconnect()
      const [near, far] = sites.sites.map(({ store }) => store)
      const rows = insertions((await far!.snapshot(POOL)).pool.floor, fields)
      await far!.commit(POOL, rows)
      // The numbers have come at both sites.
      const [{ pool }, { floor }] = [await near!.snapshot(POOL), (await far!.snapshot(POOL)).pool]
      await near!.commit(POOL, [{ kind: 'pool', poolEpoch: pool.poolEpoch, patch: { floor } }])
      await sites.restart(0)
      await sites.restart(1)
      sites.connect()
      const both = () => sites.sites.every(({ pool }) => pool.connected)
      await until(both, 'the sites have met')
      // Those that were dropped go once the peer has said that it knows.
      const isOver = () => fields.state === 'ready' || sites.sites[1].pool.status().blocks.dropped === 0
      await until(isOver, 'all is said', { timeoutMs: 30_000 })
      expect(both()).to.equal(true)
      const [key] = await sites.sites[0].pool.issue({ pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 8000 })
      expect(await sites.sites[1].pool.retrieve(pair, [key!.keyId], { waitMs: 8000 })).to.have.length(1)
    })
  }
})

function insertions(floor: bigint, fields: Partial<BlockRecord>): Change[] {
  const parity = floor % 2n
  return Array.from({ length: MANY }, (_, at): Change => {
    const number = floor + parity + BigInt(2 * at + 2)
    const record = newBlockRecord({
      number,
      ownerSiteId: 'site-a',
      trustClass: 'direct',
      relays: [],
      slot: -1,
      ...fields,
    })
    return { kind: 'insert', raiseFloor: true, sealed: undefined, record }
  })
}
