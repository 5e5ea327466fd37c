import assert from 'node:assert/strict'
import type { BlockRecord, Change, CommitResult, PoolStore, Refusal } from '../../lib/interface/pool-store.ts'
import { runSuite, type TestSetup } from './suite.ts'

/** A store, and a way to close it and open what it left behind. */
export interface PoolStoreFixture {
  store: PoolStore
  reopen(): Promise<PoolStore>
}

export const POOL_STORE_REOPEN_CASE = 'keeps rows, material and counters when it is closed and opened again'

let pools = 0

/** A pool of its own for each case. */
function freshPool(): string {
  pools += 1
  return `site-a|site-b-${pools}`
}

/** A block as the network brings it in, but for `fields`. */
export function blockRecord(number: bigint, fields: Partial<BlockRecord> = {}): BlockRecord {
  return {
    number,
    version: 1,
    ownerSiteId: 'site-a',
    grant: 0,
    state: 'received',
    trustClass: 'direct',
    relays: [],
    slot: 3,
    lease: 0,
    horizon: 0,
    expiry: [],
    consumed: new Uint8Array(125),
    macSpent: false,
    macBlock: 0n,
    tags: new Uint8Array(0),
    ...fields,
  }
}

const insert = (row: BlockRecord): Change => ({
  kind: 'insert',
  record: row,
  sealed: Buffer.from(`sealed ${row.number}`),
  raiseFloor: true,
})
const lease = (from: number, cells: number): Change => ({
  kind: 'reserve',
  number: 1n,
  grant: 0,
  from,
  cells,
  limit: 998,
})
const acknowledge = (from: number, to: number, expiresAtMs = 5000): Change => ({
  kind: 'acknowledge',
  number: 1n,
  grant: 0,
  ownerSiteId: 'site-a',
  from,
  to,
  renewal: false,
  expiresAtMs,
})
const consume = (offset: number, cells = 1, number = 1n): Change => ({
  kind: 'consume',
  number,
  ownerSiteId: 'site-a',
  offset,
  cells,
})

async function ok(result: Promise<CommitResult>): Promise<Extract<CommitResult, { ok: true }>> {
  const outcome = await result
  assert.ok(outcome.ok, `refused: ${outcome.ok ? '' : outcome.refusal}`)
  return outcome
}

async function refused(result: Promise<CommitResult>, refusal: Refusal): Promise<void> {
  const outcome = await result
  assert.deepEqual({ ok: outcome.ok, refusal: outcome.ok ? undefined : outcome.refusal }, { ok: false, refusal })
}

async function blockOf(store: PoolStore, pool: string, number: bigint): Promise<BlockRecord | undefined> {
  return (await store.snapshot(pool)).blocks.find(block => block.number === number)
}

/** What every pool store holds to: guarded, atomic, durable batches. */
export function poolStoreCompliance(setup: TestSetup<PoolStoreFixture>): void {
  runSuite('PoolStore', setup, [
    [
      'begins a pool with zeros',
      async ({ store }) => {
        const { pool, blocks } = await store.snapshot(freshPool())
        assert.deepEqual(
          { ...pool },
          {
            commits: 0,
            floor: 0n,
            virtualFloors: [0n, 0n],
            poolEpoch: 0,
            sealEpoch: 0,
            rootSlot: -1,
            peerCommits: 0,
            rolledBack: false,
          },
        )
        assert.equal(blocks.length, 0)
      },
    ],
    [
      'takes blocks in, in order of number, and gives record and material back as they were',
      async ({ store }) => {
        const pool = freshPool()
        const rows = [
          blockRecord(2n),
          blockRecord(300n, { trustClass: 'split', relays: ['r1', 'r2'] }),
          blockRecord(2n ** 40n, { expiry: [{ to: 5, expiresAtMs: 1e12 }], tags: Buffer.alloc(32, 7), macBlock: 2n }),
        ]
        for (const row of rows) await ok(store.commit(pool, [insert(row)]))
        const snapshot = await store.snapshot(pool)
        assert.deepEqual(
          snapshot.blocks.map(block => ({ ...block, tags: [...block.tags], consumed: [...block.consumed] })),
          rows.map(block => ({ ...block, tags: [...block.tags], consumed: [...block.consumed] })),
        )
        assert.equal(snapshot.pool.floor, 2n ** 40n)
        assert.equal(snapshot.pool.commits, 3)
        assert.equal(Buffer.from((await store.readSealed(pool, 300n))!).toString(), 'sealed 300')
        assert.equal(await store.readSealed(pool, 4n), undefined)
        assert.ok((await store.poolIds()).includes(pool))
      },
    ],
    [
      'refuses a number that was taken in before, or lies at or below the floor',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(5n))]))
        await refused(store.commit(pool, [insert(blockRecord(5n))]), 'block-exists')
        await refused(store.commit(pool, [insert(blockRecord(4n))]), 'below-floor')
        await ok(store.commit(pool, [{ kind: 'remove', number: 5n }]))
        await refused(store.commit(pool, [insert(blockRecord(5n))]), 'below-floor')
      },
    ],
    [
      'writes a batch whole or not at all',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { state: 'ready' })), acknowledge(0, 10)]))
        const before = (await store.snapshot(pool)).pool.commits
        await refused(store.commit(pool, [consume(1), consume(2), consume(1)]), 'already-consumed')
        const block = await blockOf(store, pool, 1n)
        assert.ok(block?.consumed.every(byte => byte === 0))
        assert.equal((await store.snapshot(pool)).pool.commits, before)
        await ok(store.commit(pool, [consume(1), consume(2)]))
      },
    ],
    [
      'moves a block only from the states named, under the grant named',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n))]))
        const move = (grant: number, from: BlockRecord['state'][], to: BlockRecord['state']): Change => ({
          kind: 'move',
          number: 1n,
          grant,
          from,
          to,
        })
        await refused(store.commit(pool, [move(1, ['received'], 'ready')]), 'wrong-grant')
        await refused(store.commit(pool, [move(0, ['ready'], 'active')]), 'wrong-state')
        const { blocks } = await ok(store.commit(pool, [move(0, ['received', 'ready'], 'active')]))
        assert.equal(blocks.get(1n)?.state, 'active')
        assert.equal(blocks.get(1n)?.version, 2)
        await refused(store.commit(pool, [{ ...move(0, ['active'], 'ready'), number: 9n } as Change]), 'no-such-block')
      },
    ],
    [
      'leases from exactly where the last lease ended, up to the limit, from an active block',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n))]))
        await refused(store.commit(pool, [lease(0, 10)]), 'wrong-state')
        await ok(store.commit(pool, [{ kind: 'move', number: 1n, grant: 0, from: ['received'], to: 'active' }]))
        await ok(store.commit(pool, [lease(0, 10)]))
        await refused(store.commit(pool, [lease(0, 10)]), 'out-of-range')
        await refused(store.commit(pool, [lease(10, 989)]), 'out-of-range')
        await ok(store.commit(pool, [lease(10, 988)]))
      },
    ],
    [
      'reserves an index once however many ask at the same moment',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { state: 'active' }))]))
        const results = await Promise.all(Array.from({ length: 50 }, () => store.commit(pool, [lease(0, 5)])))
        assert.equal(results.filter(result => result.ok).length, 1)
        assert.equal((await blockOf(store, pool, 1n))?.lease, 5)
      },
    ],
    [
      'acknowledges only forwards, and keeps the timers of what was acknowledged before',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { state: 'ready' }))]))
        await ok(store.commit(pool, [acknowledge(0, 10, 1000)]))
        await refused(store.commit(pool, [acknowledge(5, 20)]), 'out-of-range')
        await ok(store.commit(pool, [acknowledge(12, 20, 2000)]))
        await ok(store.commit(pool, [{ ...acknowledge(15, 20, 3000), renewal: true } as Change]))
        await refused(store.commit(pool, [{ ...acknowledge(15, 30, 3000), renewal: true } as Change]), 'out-of-range')
        const block = await blockOf(store, pool, 1n)
        assert.equal(block?.horizon, 20)
        assert.deepEqual(
          block?.expiry.map(span => ({ ...span })),
          [
            { to: 10, expiresAtMs: 1000 },
            { to: 12, expiresAtMs: 2000 },
            { to: 15, expiresAtMs: 2000 },
            { to: 20, expiresAtMs: 3000 },
          ],
        )
        await refused(store.commit(pool, [{ ...acknowledge(20, 30), ownerSiteId: 'site-b' } as Change]), 'wrong-owner')
        await refused(store.commit(pool, [{ ...acknowledge(20, 30), grant: 4 } as Change]), 'wrong-grant')
      },
    ],
    [
      'delivers a cell once, below the horizon, from a ready block of that owner',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { state: 'ready' })), acknowledge(0, 100)]))
        const results = await Promise.all(Array.from({ length: 50 }, () => store.commit(pool, [consume(7, 3)])))
        assert.equal(results.filter(result => result.ok).length, 1)
        await refused(store.commit(pool, [consume(9)]), 'already-consumed')
        await refused(store.commit(pool, [consume(99, 2)]), 'beyond-horizon')
        await refused(store.commit(pool, [{ ...consume(50), ownerSiteId: 'site-b' } as Change]), 'wrong-owner')
        await ok(store.commit(pool, [{ kind: 'move', number: 1n, grant: 0, from: ['ready'], to: 'dropped' }]))
        await refused(store.commit(pool, [consume(50)]), 'wrong-state')
      },
    ],
    [
      'hands out every cell of a block exactly once to many at once',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { state: 'ready' })), acknowledge(0, 998)]))
        const cells = Array.from({ length: 998 * 2 }, (_, i) => (i * 577) % 998)
        const results = await Promise.all(cells.map(cell => store.commit(pool, [consume(cell)])))
        assert.equal(results.filter(result => result.ok).length, 998)
      },
    ],
    [
      'drops the material with the block',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n))]))
        await ok(store.commit(pool, [{ kind: 'move', number: 1n, grant: 0, from: ['received'], to: 'dropped' }]))
        assert.equal(await store.readSealed(pool, 1n), undefined)
        assert.equal((await blockOf(store, pool, 1n))?.state, 'dropped')
        await ok(store.commit(pool, [{ kind: 'remove', number: 1n }]))
        assert.equal(await blockOf(store, pool, 1n), undefined)
      },
    ],
    [
      'replaces material only under the slot that it was read under',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { slot: 4 }))]))
        const reseal = (fromSlot: number, slot: number): Change => ({
          kind: 'reseal',
          number: 1n,
          fromSlot,
          slot,
          sealed: Buffer.from('anew'),
        })
        await refused(store.commit(pool, [reseal(5, 6)]), 'wrong-state')
        await ok(store.commit(pool, [reseal(4, 6)]))
        assert.equal(Buffer.from((await store.readSealed(pool, 1n))!).toString(), 'anew')
        assert.equal((await blockOf(store, pool, 1n))?.slot, 6)
      },
    ],
    [
      'changes owner only under a higher grant and while nothing was used',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { state: 'active' }))]))
        const give = (grant: number): Change => ({
          kind: 'grant',
          number: 1n,
          grant,
          ownerSiteId: 'site-b',
          state: 'ready',
        })
        await refused(store.commit(pool, [give(0)]), 'wrong-grant')
        await ok(store.commit(pool, [give(1)]))
        await refused(store.commit(pool, [give(1)]), 'wrong-grant')
        const block = await blockOf(store, pool, 1n)
        assert.equal(block?.ownerSiteId, 'site-b')
        await ok(store.commit(pool, [{ ...acknowledge(0, 5), ownerSiteId: 'site-b', grant: 1 } as Change]))
        await refused(store.commit(pool, [give(2)]), 'out-of-range')
      },
    ],
    [
      'spends the authenticating cells of a block once',
      async ({ store }) => {
        const pool = freshPool()
        await ok(store.commit(pool, [insert(blockRecord(1n, { state: 'active' }))]))
        await ok(store.commit(pool, [{ kind: 'spend-mac', number: 1n, from: 'active' }]))
        await refused(store.commit(pool, [{ kind: 'spend-mac', number: 1n, from: 'active' }]), 'already-consumed')
      },
    ],
    [
      'spends the authenticating cells of a block for the site that it is of, and gives none away that has spent them',
      async ({ store }) => {
        const pool = freshPool()
        const rows = [blockRecord(1n, { state: 'active' }), blockRecord(2n, { state: 'ready' })]
        for (const row of rows) await ok(store.commit(pool, [insert(row)]))
        await refused(store.commit(pool, [{ kind: 'spend-mac', number: 1n, from: 'ready' }]), 'wrong-state')
        await refused(store.commit(pool, [{ kind: 'spend-mac', number: 2n, from: 'active' }]), 'wrong-state')
        await ok(store.commit(pool, [{ kind: 'spend-mac', number: 2n, from: 'ready' }]))
        const give = { kind: 'grant', grant: 1, ownerSiteId: 'site-b' } as const
        await refused(store.commit(pool, [{ ...give, number: 2n, state: 'active' }]), 'already-consumed')
        await ok(store.commit(pool, [{ ...give, number: 1n, state: 'ready' }]))
        await refused(store.commit(pool, [{ kind: 'spend-mac', number: 1n, from: 'active' }]), 'wrong-state')
      },
    ],
    [
      'changes the record of a pool only in the epoch named',
      async ({ store }) => {
        const pool = freshPool()
        await ok(
          store.commit(pool, [{ kind: 'pool', poolEpoch: 0, patch: { poolEpoch: 1, rootSlot: 9, peerCommits: 77 } }]),
        )
        await refused(store.commit(pool, [{ kind: 'pool', poolEpoch: 0, patch: { rootSlot: 8 } }]), 'epoch-passed')
        const { pool: found } = await store.snapshot(pool)
        assert.equal(found.rootSlot, 9)
        assert.equal(found.peerCommits, 77)
      },
    ],
    [
      'writes a note only over the version named, and counts from there',
      async ({ store }) => {
        const pool = freshPool()
        const write = (from: number, text: string): Change => ({
          kind: 'note',
          name: 'n',
          from,
          value: Buffer.from(text),
        })
        const first = await ok(store.commit(pool, [write(0, 'one'), { ...write(0, 'other'), name: 'm' } as Change]))
        assert.equal(first.notes.get('n')?.version, 1)
        await refused(store.commit(pool, [write(0, 'two')]), 'note-changed')
        await refused(store.commit(pool, [consume(0), write(1, 'two')]), 'no-such-block')
        await ok(store.commit(pool, [write(1, 'two')]))
        const { notes } = await store.snapshot(pool)
        assert.deepEqual(
          [...notes].map(([name, { version, value }]) => [name, version, Buffer.from(value).toString()]).sort(),
          [
            ['m', 1, 'other'],
            ['n', 2, 'two'],
          ],
        )
        await ok(store.commit(pool, [{ kind: 'note', name: 'n', from: 2, value: undefined }]))
        await refused(store.commit(pool, [write(2, 'three')]), 'note-changed')
        assert.deepEqual([...(await store.snapshot(pool)).notes.keys()], ['m'])
      },
    ],
    [
      'keeps pools apart',
      async ({ store }) => {
        const [one, two] = [freshPool(), freshPool()]
        await ok(
          store.commit(one, [insert(blockRecord(1n)), { kind: 'note', name: 'n', from: 0, value: Buffer.from('x') }]),
        )
        assert.equal((await store.snapshot(two)).blocks.length, 0)
        assert.equal((await store.snapshot(two)).notes.size, 0)
        assert.equal(await store.readSealed(two, 1n), undefined)
      },
    ],
    [
      POOL_STORE_REOPEN_CASE,
      async fixture => {
        const pool = freshPool()
        await ok(fixture.store.commit(pool, [insert(blockRecord(1n, { state: 'ready' })), acknowledge(0, 100)]))
        await ok(
          fixture.store.commit(pool, [
            consume(17, 2),
            { kind: 'note', name: 'n', from: 0, value: new Uint8Array([7]) },
          ]),
        )
        const before = await fixture.store.snapshot(pool)
        fixture.store = await fixture.reopen()
        assert.deepEqual(await fixture.store.snapshot(pool), before)
        assert.equal(Buffer.from((await fixture.store.readSealed(pool, 1n))!).toString(), 'sealed 1')
        await refused(fixture.store.commit(pool, [consume(18)]), 'already-consumed')
      },
    ],
    [
      'refuses everything once closed, and closes twice without harm',
      async fixture => {
        await fixture.store.close()
        await fixture.store.close()
        const code = (error: unknown) => (error as { code?: string }).code === 'ERR_QKD_CLOSED'
        await assert.rejects(fixture.store.snapshot('p'), code)
        await assert.rejects(fixture.store.commit('p', [insert(blockRecord(1n))]), code)
        await assert.rejects(fixture.store.readSealed('p', 1n), code)
      },
    ],
  ])
}
