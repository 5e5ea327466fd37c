import { expect } from 'chai'
import type { Key } from '../../../lib/interface/kms.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import type { Suite } from '../../../lib/key/selection.ts'
import { PoolPair, type PoolSite } from '../../helpers/pool-pair.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
/** Few, so that blocks are opened all the time. */
const CELLS = 4
const virtual = { allows: () => true, cellsPerBlock: () => CELLS }
/** Durable steps of opening, verifying, leasing and burying a block or two. */
const STEPS = 12

const issue = ({ pool }: PoolSite, suite: Suite, number = 2, waitMs = 8000) =>
  pool.issue({ pair, number, sizeBytes: 32, suite, waitMs })

async function expectFetched({ pool }: PoolSite, keys: readonly Key[]): Promise<void> {
  const ids = keys.map(({ keyId }) => keyId)
  const same = await pool.retrieve(pair, ids, { waitMs: 8000 })
  keys.forEach((key, at) => {
    expect(same[at]!.secret.equals(key.secret)).to.equal(true)
  })
}

/** Ends the disk of one site at a step, with requests under way; then what comes of everything. */
async function crash(site: 0 | 1, step: number, after: boolean): Promise<boolean> {
  await using sites = await PoolPair.open({ virtual, limits: { targetBlocks: 2, lifetimeMs: 600_000 } })
  sites.connect()
  const [a, b] = sites.sites
  const given: Key[] = []
  for (const suite of [5, 6] as const) {
    const kept = await issue(a, suite)
    given.push(...kept)
  }
  const kept = [...given]
  const { faults } = sites.sites[site]
  faults.failAt(step, { after })
  for (let round = 0; round < 4 && !faults.isDead; round++) {
    for (const suite of [5, 6] as const) {
      const keys = await issue(a, suite, 2, 100).catch(() => [])
      given.push(...keys)
      await expectFetched(b, keys).catch(() => {})
    }
  }
  const wasHit = faults.isDead
  // What the process still has to say on its way out it can't write.
  await sites.disconnect()
  await sites.sites[site].pool.close().catch(() => {})
  faults.mend()
  await sites.restart(site)
  sites.connect()
  await expectFetched(b, kept)
  for (const suite of [5, 6, 2] as const) {
    for (let round = 0; round < 3; round++) {
      const keys = await issue(a, suite)
      given.push(...keys)
      await expectFetched(b, keys)
    }
  }
  const different = new Set(given.map(({ secret }) => Buffer.from(exportKey(secret)).toString('hex')))
  expect(different.size).to.equal(given.length)
  return wasHit
}

describe('virtual blocks and the end of a process', function () {
  this.timeout(120_000)

  for (const [site, name] of [
    [0, 'the owner'],
    [1, 'the retriever'],
  ] as const) {
    it(`lose no issued key and give none twice, at whatever durable step ${name} ends`, async () => {
      let hits = 0
      for (let step = 0; step < STEPS; step++)
        for (const after of [false, true]) if (await crash(site, step, after)) hits++
      expect(hits).to.be.at.least(STEPS)
    })
  }

  it('expire like any block where nobody fetches their keys, and are gone at both sites', async () => {
    await using sites = await PoolPair.open({ virtual, limits: { lifetimeMs: 1000 } })
    sites.connect()
    const [a, b] = sites.sites
    const keys = [...(await issue(a, 5)), ...(await issue(a, 6))]
    const drained = ({ events }: PoolSite) =>
      events.filter(event => event.type === 'block' && event.to === 'drained' && BigInt(event.block) >> 63n === 1n)
        .length
    await until(async () => {
      sites.advance(62_000)
      return drained(a) >= 2 && drained(b) >= 2
    }, 'both sites drain them')
    for (const { keyId } of keys)
      await rejectsWith(b.pool.retrieve(pair, [keyId], { waitMs: 0 }), 'ERR_QKD_KEY_NOT_FOUND')
    const [poolId] = await b.store.poolIds()
    const live = new Set((await b.store.snapshot(poolId!)).blocks.map(({ number }) => number))
    for (const event of b.events)
      if (event.type === 'block' && event.to === 'drained') {
        expect(live.has(BigInt(event.block))).to.equal(false)
        expect(await b.store.readSealed(poolId!, BigInt(event.block))).to.equal(undefined)
      }
  })
})
