import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Key } from '../../lib/interface/kms.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import type { BlockRecord } from '../../lib/interface/pool-store.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import type { Suite } from '../../lib/key/selection.ts'
import { BLOCK_TABLE } from '../../lib/kms/pool/block-table.ts'
import type { KeyPool } from '../../lib/kms/pool/key-pool.ts'
import { deferred } from '../../lib/util/deferred.ts'
import { PoolPair, type PoolSite } from '../helpers/pool-pair.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { until } from '../helpers/until.ts'
import { type BlockEvent, BlockPaths } from './block-paths.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
/** Number of the message `ready` on the wire. */
const READY = 6

describe('what a pool tells of its blocks', function () {
  this.timeout(60_000)

  it('is a path of the block table: keys both ways, restarts of both sites, grants, cut sessions', async () => {
    await using sites = await PoolPair.open({ limits: { targetBlocks: 6 } })
    sites.connect()
    const [a, b] = sites.sites
    for (let round = 0; round < 4; round++) {
      // More than a side's own share, so that blocks change hands and drain.
      for (let drawn = 0; drawn < 4000; drawn += 1000) await exchange(a, b, { number: 100, sizeBytes: 320 })
      await exchange(b, a, { number: 50, sizeBytes: 320 })
      if (round === 2) await sites.disconnect()
      else await sites.restart(round === 0 ? 0 : 1)
      sites.connect()
    }
    await exchange(a, b, { number: 1, sizeBytes: 32 })
    // What a key of ten cells leaves at the end of a block goes when its time is over.
    sites.advance(80_000)
    await until(() => [a, b].every(site => rowsOf(site).has(18)), 'blocks drain at both')
    await expectPaths(sites, [2, 3, 6, 18, 19, 20, 21])
  })

  it('is one where the sites make blocks themselves, through restarts and cut sessions', async () => {
    const virtual = { allows: () => true, cellsPerBlock: () => 40 }
    await using sites = await PoolPair.open({ virtual })
    sites.connect()
    const [a, b] = sites.sites
    for (let round = 0; round < 3; round++) {
      for (const suite of [5, 6] as const) {
        for (let drawn = 0; drawn < 60; drawn += 20) await exchange(a, b, { number: 20, sizeBytes: 32, suite })
        await exchange(b, a, { number: 5, sizeBytes: 64, suite })
      }
      if (round === 2) await sites.disconnect()
      else await sites.restart(round === 0 ? 0 : 1)
      sites.connect()
    }
    await expectPaths(sites, [3, 6, 18, 19, 30])
  })

  it('is one where keys expire and leases end unused', async () => {
    await using sites = await PoolPair.open({ limits: { targetBlocks: 2, lifetimeMs: 1000 } })
    sites.connect()
    const [a, b] = sites.sites
    const fetched = () => rowsOf(b).has(18)
    await until(async () => {
      await issue(a.pool, { number: 100, sizeBytes: 320 })
      sites.advance(62_000)
      return fetched()
    }, 'a block drains of expired keys')
    await expectPaths(sites, [2, 3, 6, 18, 19])
  })

  it('is one where copies differ', async () => {
    const tamper = (block: { number: bigint; secret: SecretKey }) =>
      block.number % 3n === 0n ? { number: block.number, secret: SecretKey.random(32_000) } : block
    await using sites = await PoolPair.open({ tamper })
    sites.connect()
    const [a, b] = sites.sites
    await until(() => [a, b].every(site => rowsOf(site).has(5) && rowsOf(site).has(29)), 'both drop, and are told to')
    await exchange(a, b, { number: 10, sizeBytes: 32 })
    await expectPaths(sites, [2, 3, 5, 6, 29])
  })

  it('is one where an answer is late and the owner gives a block up', async () => {
    await using sites = await PoolPair.open({ limits: { targetBlocks: 2 } })
    const release = deferred<void>()
    let held = false
    sites.connect(channel => heldFrom(channel, READY, release.promise, () => (held = true)))
    await until(() => held, 'a ready is under way')
    await until(() => sites.sites.every(site => rowsOf(site).has(2)), 'both have blocks')
    // Past the time in which a block must be verified, and with the session still open.
    sites.advance(61_000)
    await until(() => sites.sites.some(site => rowsOf(site).has(7)), 'an owner gives up')
    release.resolve()
    await until(() => sites.sites.some(site => rowsOf(site).has(8)), 'a retriever that was ready is told')
    await exchange(sites.sites[0], sites.sites[1], { number: 1, sizeBytes: 32 })
    await expectPaths(sites, [2, 3, 6, 7, 8])
  })

  it('is one where a store is lost and both begin anew', async () => {
    await using sites = await PoolPair.open({ limits: { targetBlocks: 4 } })
    sites.connect()
    const [a, b] = sites.sites
    await exchange(a, b, { number: 10, sizeBytes: 32 })
    await sites.disconnect()
    const [poolId] = await b.store.poolIds()
    const { pool } = await b.store.snapshot(poolId!)
    // What its peer has heard of it is then beyond what it has.
    await a.store.commit(poolId!, [
      {
        kind: 'pool',
        poolEpoch: pool.poolEpoch,
        patch: { peerCommits: pool.commits + 1000 },
      },
    ])
    await sites.restart(0)
    sites.connect()
    await until(() => rowsOf(a).has(27) && rowsOf(b).has(27), 'both drop everything')
    await exchange(a, b, { number: 10, sizeBytes: 32 })
    await expectPaths(sites, [2, 3, 6, 27])
  })
})

describe('what a pool tells of its blocks after its store was put back', function () {
  this.timeout(60_000)

  for (const i of [0, 1] as const) {
    it(`is a path of the block table at both: RESYNC of the ${i === 0 ? 'first' : 'second'} site, rows 24 to 26`, async () => {
      await using dir = await createTempDir('qkdkit-replay-')
      await using sites = await PoolPair.open({ limits: { targetBlocks: 6 }, directory: dir.path })
      sites.connect()
      const [a, b] = sites.sites
      await exchange(a, b, { number: 10, sizeBytes: 32 })
      const path = join(dir.path, i === 0 ? 'site-a' : 'site-b')
      await sites.restart(i, { between: () => cp(path, `${path}.copy`, { recursive: true }) })
      sites.connect()
      // Blocks change hands, drain and come in the time that is forgotten.
      for (let drawn = 0; drawn < 4000; drawn += 1000) await exchange(a, b, { number: 100, sizeBytes: 320 })
      await exchange(b, a, { number: 50, sizeBytes: 320 })
      const between = async () => {
        await rm(path, { recursive: true })
        await cp(`${path}.copy`, path, { recursive: true })
      }
      await sites.restart(i, { between })
      const site = sites.sites[i]
      const at = site.events.length
      const { blocks } = await site.store.snapshot((await site.store.poolIds())[0]!)
      sites.connect()
      await until(() => site.events.some(({ type }) => type === 'pool-resync'), 'the store is made good')
      await exchange(a, b, { number: 10, sizeBytes: 32 })
      await exchange(b, a, { number: 10, sizeBytes: 32 })
      await expectPaths(sites, [2, 3, 6, 25, 26], { i, at, blocks })
    })
  }
})

describe('BlockPaths', () => {
  const faults = (...events: Partial<BlockEvent>[]) => {
    const paths = new BlockPaths(0)
    for (const event of events)
      paths.follow({ type: 'block', peerSiteId: 'site-b', block: '2', from: '', to: '', row: 0, ...event })
    return paths.faults
  }
  const birth = { row: 2, from: 'none', to: 'received' }
  const active = { row: 6, from: 'received', to: 'active' }

  it('passes a path of the table', () => {
    expect(faults(birth, active, { row: 19, from: 'active', to: 'drained' })).to.deep.equal([])
    expect(faults(birth, active, { row: 20, from: 'active', to: 'ready' }, { row: 8, from: 'ready', to: 'dropped' })).to
      .be.empty
  })

  it('finds an unknown row, a gap, a wrong end, another role and a life after death', () => {
    expect(faults({ row: 99, from: 'none', to: 'received' })).to.have.length(1)
    expect(faults({ row: 6, from: 'received', to: 'active' })).to.have.length(1)
    expect(faults(birth, { row: 6, from: 'received', to: 'ready' })).to.have.length(1)
    expect(faults(birth, { row: 3, from: 'received', to: 'ready' })).to.have.length(1)
    expect(faults(birth, { row: 7, from: 'received', to: 'dropped' }, birth)).to.have.length(1)
  })
})

/** The site whose store was put back, with how many events, and what it held then. */
interface PutBack {
  readonly i: 0 | 1
  readonly at: number
  readonly blocks: readonly BlockRecord[]
}

/** Every event of both sites lies on a path, the stores stand where the paths end, and these rows were gone by. */
async function expectPaths(sites: PoolPair, rows: readonly number[], back?: PutBack): Promise<void> {
  await Promise.all(sites.sites.map(({ pool }) => pool.close()))
  const seen = new Set<number>()
  for (const [i, { events, store }] of sites.sites.entries()) {
    const paths = new BlockPaths(i as 0 | 1)
    for (const [at, event] of events.entries()) {
      if (back?.i === i && back.at === at) paths.putBack(back.blocks, i === 0 ? 'site-a' : 'site-b')
      if (event.type === 'block') paths.follow(event)
    }
    expect(paths.faults).to.deep.equal([])
    for (const row of paths.rows) seen.add(row)
    const [poolId] = await store.poolIds()
    for (const { number, state } of (await store.snapshot(poolId!)).blocks) {
      // A number that the peer dropped before it came here is remembered without an event.
      if (state !== 'dropped') expect(paths.stateOf(number), `block ${number}`).to.equal(state)
    }
  }
  expect([...seen]).to.include.members([...rows])
  expect(BLOCK_TABLE.map(({ row }) => row)).to.include.members([...seen])
}

function rowsOf({ events }: PoolSite): Set<number> {
  return new Set(events.flatMap(event => (event.type === 'block' ? event.row : [])))
}

interface Exchange {
  readonly number: number
  readonly sizeBytes: number
  /** Default of level `quantum`. */
  readonly suite?: Suite
}

async function exchange(from: PoolSite, to: PoolSite, what: Exchange): Promise<void> {
  const keys = await issue(from.pool, what)
  const keyIds = keys.map(({ keyId }) => keyId)
  const got = await to.pool.retrieve(pair, keyIds, { waitMs: 5000 })
  expect(got.every(({ secret }, i) => secret.equals(keys[i]!.secret))).to.equal(true)
}

function issue(pool: KeyPool, { number, sizeBytes, suite = 2 }: Exchange): Promise<Key[]> {
  return pool.issue({ pair, number, sizeBytes, suite, waitMs: 5000 })
}

/** The channel, with everything from the first message of that kind on held back until `release`; in order. */
function heldFrom(channel: MessageChannel, kind: number, release: Promise<void>, onHold: () => void): MessageChannel {
  return new Proxy(channel, {
    get: (target, property) => {
      const value = Reflect.get(target, property, target)
      if (property !== 'send') return typeof value === 'function' ? value.bind(target) : value
      return async (message: Uint8Array) => {
        if (message[0] === kind) {
          onHold()
          await release
        }
        await target.send(message)
      }
    },
  })
}
