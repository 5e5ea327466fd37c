import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { BlockRecord, BlockState, Change, PoolStore } from '../../lib/interface/pool-store.ts'
import { MemorySlots } from '../../lib/kms/store/memory-slots.ts'
import { blockRecord } from '../compliance/pool-store.ts'
import { FaultPlan, withFaults } from './fault-store.ts'
import { ModelPool } from './pool-store-model.ts'

/** A step of a run: a batch, on a disk that works or ends before or behind it, or the store closed and opened again. */
type Step = { kind: 'commit'; changes: Change[]; fault: 'none' | 'before' | 'after' } | { kind: 'reopen' }

const STATES: readonly BlockState[] = ['received', 'ready', 'active', 'drained', 'dropped']
const number = fc.bigInt({ min: 1n, max: 4n })
// Leaning towards what is not refused, or a run would show little but refusals.
const grant = fc.constantFrom(0, 0, 0, 0, 1, 2)
const site = fc.constantFrom('site-a', 'site-a', 'site-a', 'site-b')
const from = fc.constantFrom(0, 0, 10, 20, 990)
const cells = fc.constantFrom(1, 10, 10, 20)
const state = fc.constantFrom(...STATES, 'ready' as const, 'ready' as const, 'active' as const, 'active' as const)
const slot = fc.constantFrom(3, 3, 0)
const bytes = fc.string({ minLength: 1, maxLength: 8 }).map(text => Buffer.from(text))

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ number, state, owner: site, bytes, raiseFloor: fc.constantFrom(false, false, false, false, true) })
      .map(inserted),
  },
  fc.record({ kind: fc.constant('move' as const), number, grant, from: fc.subarray([...STATES]), to: state }),
  fc.record({ kind: fc.constant('reserve' as const), number, grant, from, cells, limit: fc.constant(998) }),
  fc
    .record({ number, grant, ownerSiteId: site, from, cells, renewal: fc.boolean() })
    .map(({ cells: count, ...rest }) => ({
      kind: 'acknowledge' as const,
      ...rest,
      to: rest.from + count,
      expiresAtMs: 9,
    })),
  fc
    .record({ number, ownerSiteId: site, offset: fc.integer({ min: 0, max: 30 }), cells })
    .map(fields => ({ kind: 'consume' as const, ...fields })),
  fc.record({ number, from: fc.integer({ min: 0, max: 900 }), cells }).map(({ from, cells: count, ...rest }) => ({
    kind: 'burn' as const,
    ...rest,
    ranges: [{ from, to: from + count }],
  })),
  fc.record({ kind: fc.constant('grant' as const), number, grant, ownerSiteId: site, state }),
  fc
    .record({ number, fromSlot: fc.constantFrom(3, 3, 0), slot, bytes })
    .map(({ bytes: sealed, ...rest }) => ({ kind: 'reseal' as const, ...rest, sealed })),
  fc.record({
    kind: fc.constant('spend-mac' as const),
    number,
    from: fc.constantFrom('active' as const, 'ready' as const),
  }),
  fc.record({ kind: fc.constant('remove' as const), number }),
  fc.record({ kind: fc.constant('hear' as const), peerCommits: fc.integer({ min: 0, max: 99 }) }),
  fc.record({
    kind: fc.constant('note' as const),
    name: fc.constantFrom('a', 'b'),
    from: fc.integer({ min: 0, max: 1 }),
    value: fc.option(bytes, { nil: undefined }),
  }),
  fc
    .record({ poolEpoch: fc.constantFrom(0, 0, 1), next: fc.integer({ min: 0, max: 2 }) })
    .map(({ poolEpoch, next }) => ({ kind: 'pool' as const, poolEpoch, patch: { poolEpoch: next } })),
)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      changes: fc.oneof(
        { weight: 4, arbitrary: fc.array(change, { minLength: 1, maxLength: 1 }) },
        fc.array(change, { minLength: 2, maxLength: 4 }),
      ),
      fault: fc.constantFrom('none' as const, 'none' as const, 'none' as const, 'before' as const, 'after' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
)

/** A store to try, and how it is opened again; a volatile one gives itself. */
export interface TriedStore {
  store: PoolStore
  reopen(): Promise<PoolStore>
}

/**
 * Random batches on a store beside the same on paper, with a disk that fails before and after a commit: every answer, every
 * row and all material agree after each step. Gives how many batches were written and how many refused.
 */
export async function tryPoolStore(tried: TriedStore, { runs, seed }: { runs: number; seed?: number }) {
  const counts = { written: 0, refused: 0, failed: 0, reopened: 0 }
  let pools = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), async steps => {
      const poolId = `site-a|site-b ${++pools}`
      const model = new ModelPool()
      for (const one of steps) {
        if (one.kind === 'reopen') {
          tried.store = await tried.reopen()
          counts.reopened += 1
        } else await commitBoth(tried.store, { poolId, model, step: one, counts })
        await agree(tried.store, poolId, model)
      }
    }),
    { numRuns: runs, ...(seed === undefined ? {} : { seed }) },
  )
  return counts
}

async function commitBoth(
  store: PoolStore,
  {
    poolId,
    model,
    step: { changes, fault },
    counts,
  }: {
    poolId: string
    model: ModelPool
    step: Extract<Step, { kind: 'commit' }>
    counts: { written: number; refused: number; failed: number }
  },
): Promise<void> {
  const plan = new FaultPlan()
  const faulty = withFaults({ store, slots: new MemorySlots() }, plan).store
  if (fault !== 'none') plan.failAt(0, { after: fault === 'after' })
  if (fault === 'before') {
    counts.failed += 1
    await assert.rejects(faulty.commit(poolId, changes), { code: 'ERR_QKD_STORE' })
    return
  }
  const expected = model.commit(changes)
  if (fault === 'after') {
    counts.failed += 1
    await assert.rejects(faulty.commit(poolId, changes), { code: 'ERR_QKD_STORE' })
    return
  }
  const outcome = await faulty.commit(poolId, changes)
  if (expected === undefined) counts.written += 1
  else counts.refused += 1
  assert.deepEqual(
    outcome.ok ? undefined : { refusal: outcome.refusal, change: outcome.change },
    expected,
    'the answer of the store',
  )
}

async function agree(store: PoolStore, poolId: string, model: ModelPool): Promise<void> {
  const { pool, blocks, notes } = await store.snapshot(poolId)
  const { floor, poolEpoch, commits, peerCommits } = model
  assert.deepEqual(
    { floor: pool.floor, poolEpoch: pool.poolEpoch, commits: pool.commits, peerCommits: pool.peerCommits },
    { floor, poolEpoch, commits, peerCommits },
  )
  assert.deepEqual(
    blocks.map(({ number: n }) => n),
    [...model.blocks.keys()].sort((a, b) => (a < b ? -1 : 1)),
  )
  for (const block of blocks) {
    const sealed = await store.readSealed(poolId, block.number)
    assert.deepEqual(
      { ...onPaper(block), sealed: sealed && Buffer.from(sealed).toString() },
      model.blocks.get(block.number),
    )
  }
  assert.deepEqual(
    [...notes].map(([name, { version, value }]) => [name, { version, value: Buffer.from(value).toString() }]).sort(),
    [...model.notes].sort(),
  )
}

function onPaper({
  ownerSiteId: owner,
  grant: g,
  state: s,
  slot: place,
  lease,
  horizon,
  consumed,
  macSpent,
}: BlockRecord) {
  const spent = new Set<number>()
  for (let at = 0; at < 8 * consumed.byteLength; at++) if ((consumed[at >> 3]! & (1 << (at & 7))) !== 0) spent.add(at)
  return { owner, grant: g, state: s, slot: place, lease, horizon, consumed: spent, macSpent }
}

function inserted(fields: {
  number: bigint
  state: BlockState
  owner: string
  bytes: Buffer
  raiseFloor: boolean
}): Change {
  const record = blockRecord(fields.number, { ownerSiteId: fields.owner, state: fields.state })
  return { kind: 'insert', record, sealed: fields.bytes, raiseFloor: fields.raiseFloor }
}
