import { expect } from 'chai'
import type { Key } from '../../../lib/interface/kms.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import type { KeyPool } from '../../../lib/kms/pool/key-pool.ts'
import { PoolPair } from '../../helpers/pool-pair.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }

function issue(pool: KeyPool, { number = 1, sizeBytes = 32, waitMs = 5000 } = {}): Promise<Key[]> {
  return pool.issue({ pair, number, sizeBytes, suite: 2, waitMs })
}

async function fetchAll(pool: KeyPool, keys: readonly Key[]): Promise<Key[]> {
  return pool.retrieve(
    pair,
    keys.map(({ keyId }) => keyId),
    { waitMs: 5000 },
  )
}

function expectSame(one: readonly Key[], two: readonly Key[]): void {
  expect(two.map(({ keyId }) => keyId)).to.deep.equal(one.map(({ keyId }) => keyId))
  for (const [i, key] of one.entries()) expect(key.secret.equals(two[i]!.secret)).to.equal(true)
}

describe('KeyPool', () => {
  it('gives the same keys at both sites, of any size, in both directions', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const [{ pool: a }, { pool: b }] = sites.sites
    for (const sizeBytes of [1, 8, 31, 32, 33, 64, 512, 3968]) {
      const fromA = await issue(a, { number: 3, sizeBytes })
      expectSame(fromA, await fetchAll(b, fromA))
      const fromB = await issue(b, { number: 2, sizeBytes })
      expectSame(fromB, await fetchAll(a, fromB))
      expect(new Set([...fromA, ...fromB].map(({ keyId }) => keyId)).size).to.equal(5)
    }
  })

  it('delivers a key once, and not to the side that issued it', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const [{ pool: a }, { pool: b }] = sites.sites
    const keys = await issue(a)
    await rejectsWith(fetchAll(a, keys), 'ERR_QKD_KEY_NOT_FOUND')
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => fetchAll(b, keys)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).to.have.lengthOf(1)
    await rejectsWith(fetchAll(b, keys), 'ERR_QKD_KEY_NOT_FOUND')
  })

  it('tells a key of somebody else from one that does not exist, and consumes neither', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const [{ pool: a }, { pool: b }] = sites.sites
    const [key] = await issue(a)
    const ids = [key!.keyId]
    const carol = { masterSaeId: 'alice', slaveSaeId: 'carol' }
    await rejectsWith(b.retrieve(carol, ids, { waitMs: 0 }), 'ERR_QKD_UNAUTHORIZED')
    const unknown = '3f2504e0-4f89-41d3-9a0c-0305e82c3301'
    await rejectsWith(b.retrieve(pair, [...ids, unknown], { waitMs: 0 }), 'ERR_QKD_KEY_NOT_FOUND')
    expectSame([key!], await b.retrieve(pair, ids, { waitMs: 0 }))
  })

  it('erases at both sites a block whose copies differ, before any key of it is given out', async () => {
    const tamper = (block: { number: bigint; secret: SecretKey }) =>
      block.number % 2n === 0n ? block : { number: block.number, secret: SecretKey.random(32_000) }
    await using sites = await PoolPair.open({ tamper })
    sites.connect()
    const [siteA, siteB] = sites.sites
    await until(() => siteA.pool.status().mismatches + siteB.pool.status().mismatches >= 4, 'mismatches are found')
    for (const { pool: one, other } of [
      { pool: siteA.pool, other: siteB.pool },
      { pool: siteB.pool, other: siteA.pool },
    ]) {
      const outcome = await issue(one, { number: 20 }).catch((error: Error) => error)
      if (outcome instanceof Error) continue
      expectSame(outcome, await fetchAll(other, outcome))
    }
    const alarms = [...siteA.events, ...siteB.events].filter(({ type }) => type === 'alarm')
    expect(alarms).to.not.have.lengthOf(0)
  })

  it('goes on at once when one side has lost blocks that the other has', async () => {
    let lost = 0
    // More than the pool may have under verification: they must not stand in the way until their time-out.
    const tamper = (block: { number: bigint; secret: SecretKey }) => (++lost <= 20 ? undefined : block)
    await using sites = await PoolPair.open({ tamper, limits: { targetBlocks: 8 } })
    sites.connect()
    const [siteA, siteB] = sites.sites
    const ticking = setInterval(() => sites.advance(500), 100)
    try {
      const keys = await issue(siteA.pool, { waitMs: 15_000 })
      expectSame(keys, await fetchAll(siteB.pool, keys))
    } finally {
      clearInterval(ticking)
    }
    const reasons = new Set(
      [...siteA.events, ...siteB.events].map(event => ('reason' in event ? event.reason : undefined)),
    )
    expect(reasons).to.include('the peer never had it')
    expect(reasons).to.not.include('not verified in time')
  })

  it('serves from acknowledged leases while the peer is away, until their deadline, and again when it is back', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const [{ pool: a }, { pool: b }] = sites.sites
    await issue(a)
    await until(() => a.status().leasedCells >= 8, 'a lease is acknowledged')
    await sites.disconnect()
    const offline = await issue(a, { number: 4, waitMs: 0 })
    expectSame(offline, await fetchAll(b, offline))
    sites.advance(61_000)
    await rejectsWith(issue(a, { waitMs: 300 }), 'ERR_QKD_POOL_EXHAUSTED')
    sites.connect()
    const back = await issue(a)
    expectSame(back, await fetchAll(b, back))
  })

  it('renews leases that nobody used, so that a quiet pool answers at once', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const [{ pool: a }, { pool: b }] = sites.sites
    await issue(a)
    await until(() => a.status().leasedCells >= 8, 'a lease is acknowledged')
    for (let minute = 0; minute < 4; minute++) {
      sites.advance(51_000)
      await new Promise(resolve => setTimeout(resolve, 600))
    }
    const keys = await issue(a, { number: 4, waitMs: 0 })
    expectSame(keys, await fetchAll(b, keys))
  })

  it('lets a key expire that was not fetched within the lifetime, not earlier', async () => {
    await using sites = await PoolPair.open({ limits: { lifetimeMs: 10_000 } })
    sites.connect()
    const [{ pool: a }, { pool: b, events }] = sites.sites
    const [early, late] = await issue(a, { number: 2 })
    sites.advance(9_000)
    expectSame([early!], await fetchAll(b, [early!]))
    // A lease lives 60 s, and a key of it the lifetime from then on.
    sites.advance(62_000)
    await rejectsWith(fetchAll(b, [late!]), 'ERR_QKD_KEY_NOT_FOUND')
    await until(() => events.some(({ type }) => type === 'cells-expired'), 'the sweep erases them')
  })

  it('burns what was leased and not issued when it starts again, and gives no index twice', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const seen = new Set<string>()
    for (let round = 0; round < 5; round++) {
      const keys = await issue(sites.sites[0].pool, { number: 10 })
      for (const { keyId, secret } of keys) {
        const digest = secret.expose('application', bytes => Buffer.from(bytes).toString('hex'))
        expect(seen.has(keyId) || seen.has(digest)).to.equal(false)
        seen.add(keyId).add(digest)
      }
      await sites.restart(round % 2 === 0 ? 0 : 1)
      sites.connect()
      expectSame(keys, await fetchAll(sites.sites[1].pool, keys))
    }
  })

  it('does nothing after a start before the peer has said how far it knows this store', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const keys = await issue(sites.sites[0].pool)
    await sites.restart(1)
    const { pool } = sites.sites[1]
    await rejectsWith(pool.retrieve(pair, [keys[0]!.keyId], { waitMs: 50 }), 'ERR_QKD_POOL_DESYNC')
    sites.connect()
    expectSame(keys, await fetchAll(pool, keys))
  })

  it('gives all keys asked for or none, and a refused request consumes nothing', async () => {
    await using sites = await PoolPair.open({ limits: { targetBlocks: 2 }, rateBps: 1_000_000 })
    sites.connect()
    const { pool: a } = sites.sites[0]
    await until(() => a.status().issuableCells >= 900, 'a block is there')
    await rejectsWith(issue(a, { number: 128, sizeBytes: 512, waitMs: 0 }), 'ERR_QKD_POOL_EXHAUSTED')
    const before = a.status().issuableCells
    const error = await rejectsWith(issue(a, { number: 128, sizeBytes: 512, waitMs: 0 }), 'ERR_QKD_POOL_EXHAUSTED')
    expect(error.details[0]).to.include({ key_count_requested: 128 })
    expect(a.status().issuableCells).to.be.at.least(before)
  })

  it('consumes nothing for a wait that is given up', async () => {
    await using sites = await PoolPair.open({ rateBps: 1000 })
    sites.connect()
    const { pool: a } = sites.sites[0]
    const abort = new AbortController()
    const waiting = a.issue({ pair, number: 1, sizeBytes: 32, suite: 2, waitMs: 10_000, signal: abort.signal })
    await until(() => a.status().waitingRequests === 1, 'the request waits')
    abort.abort(new Error('gone'))
    expect(await waiting.catch((error: Error) => error.message)).to.equal('gone')
    expect(a.status().waitingRequests).to.equal(0)
  })

  it('moves unused blocks to the side whose hosts ask more', async () => {
    await using sites = await PoolPair.open({ limits: { targetBlocks: 8 } })
    sites.connect()
    const [{ pool: a }, { pool: b, events }] = sites.sites
    // More than the side's own half of four fillings.
    for (let drawn = 0; drawn < 16_000; drawn += 1000) {
      const keys = await issue(a, { number: 100, sizeBytes: 320 })
      expectSame(keys, await fetchAll(b, keys))
    }
    expect(events.some(event => event.type === 'block' && event.row === 20)).to.equal(true)
  })

  it('rewrites a living block without its delivered cells', async () => {
    await using sites = await PoolPair.open({ limits: { shredMs: 200 } })
    sites.connect()
    const [{ pool: a }, { pool: b, store }] = sites.sites
    const poolId = (await store.poolIds())[0]!
    const keys = await issue(a, { number: 5 })
    const { blocks } = await store.snapshot(poolId)
    const slots = new Map(blocks.map(block => [block.number, block.slot]))
    const got = await fetchAll(b, keys)
    expectSame(keys, got)
    const touched = (await store.snapshot(poolId)).blocks.find(block => block.consumed.some(byte => byte !== 0))!
    sites.advance(1000)
    await until(async () => {
      const now = (await store.snapshot(poolId)).blocks.find(({ number }) => number === touched.number)
      return now !== undefined && now.slot !== slots.get(touched.number)
    }, 'the block is sealed anew')
    const more = await issue(a, { number: 50 })
    expectSame(more, await fetchAll(b, more))
  })

  it('loses a block that does not open, at both sites, and not the session', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const [{ pool: a, store, slots, events }, { pool: b }] = sites.sites
    await until(() => a.status().blocks.active >= 3, 'blocks are active')
    const [poolId] = await store.poolIds()
    for (const block of (await store.snapshot(poolId!)).blocks.slice(0, 4)) await slots.erase(block.slot)
    for (let round = 0; round < 12; round++) {
      const keys = await issue(a, { number: 100, sizeBytes: 320 })
      expectSame(keys, await fetchAll(b, keys))
    }
    expect(events.some(event => event.type === 'alarm' && event.id.startsWith('block-damaged'))).to.equal(true)
    expect(events.some(event => event.type === 'peer' && event.state === 'disconnected')).to.equal(false)
  })

  it('ends when it is closed although its peer takes no message any more', async () => {
    const sites = await PoolPair.open()
    let stalled = false
    sites.connect(
      channel =>
        new Proxy(channel, {
          get: (target, property) => {
            const value = Reflect.get(target, property, target)
            if (property === 'send')
              return (message: Uint8Array) => (stalled ? new Promise(() => {}) : target.send(message))
            return typeof value === 'function' ? value.bind(target) : value
          },
        }),
    )
    await issue(sites.sites[0].pool)
    stalled = true
    await sites[Symbol.asyncDispose]()
  })

  it('burns what is left of used-up blocks in pieces too small, instead of keeping them for ever', async () => {
    await using sites = await PoolPair.open()
    sites.connect()
    const [{ pool: a }, { pool: b }] = sites.sites
    // 998 cells leave a rest of 6 when keys take 16.
    for (let round = 0; round < 30; round++) {
      const keys = await issue(a, { number: 32, sizeBytes: 512 })
      expectSame(keys, await fetchAll(b, keys))
    }
    for (let minute = 0; minute < 3; minute++) {
      sites.advance(51_000)
      await new Promise(resolve => setTimeout(resolve, 600))
    }
    await until(() => a.status().blocks.active + a.status().blocks.ready <= 9, 'used-up blocks are gone')
  })

  it('closes the session of a peer that repeats, skips or invents messages, and goes on with the next', async () => {
    await using sites = await PoolPair.open()
    let armed = true
    sites.connect(
      channel =>
        new Proxy(channel, {
          get: (target, property) => {
            const value = Reflect.get(target, property, target)
            if (property !== 'send') return typeof value === 'function' ? value.bind(target) : value
            return async (message: Uint8Array) => {
              await target.send(message)
              if (armed && message[0] === 9) {
                armed = false
                await target.send(message)
              }
            }
          },
        }),
    )
    const [{ pool: a, events }, { pool: b }] = sites.sites
    void issue(a).catch(() => {})
    await until(() => events.some(event => event.type === 'peer' && event.state === 'disconnected'), 'the session ends')
    sites.connect()
    const keys = await issue(a)
    expectSame(keys, await fetchAll(b, keys))
  })

  it('drops everything at both sites when one lost its store, and begins anew', async () => {
    await using one = await PoolPair.open()
    one.connect()
    const old = await issue(one.sites[0].pool)
    await one.disconnect()
    // The second site comes back with an empty store.
    const { store, slots } = one.sites[1]
    const [poolId] = await store.poolIds()
    const { pool, blocks } = await store.snapshot(poolId!)
    await store.commit(poolId!, [
      ...blocks.map(({ number }) => ({ kind: 'remove' as const, number })),
      { kind: 'pool', poolEpoch: pool.poolEpoch, patch: { poolEpoch: 0, floor: 0n, rootSlot: -1, peerCommits: 0 } },
    ])
    await slots.eraseAllBut(new Set())
    await one.restart(1)
    one.connect()
    const resets = () => one.sites[0].events.filter(({ type }) => type === 'pool-reset')
    await until(() => resets().length === 2, 'both sides begin anew')
    const fresh = await issue(one.sites[0].pool)
    expectSame(fresh, await fetchAll(one.sites[1].pool, fresh))
    await rejectsWith(fetchAll(one.sites[1].pool, old), 'ERR_QKD_KEY_NOT_FOUND')
  })
})
