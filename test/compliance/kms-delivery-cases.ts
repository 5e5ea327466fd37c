import assert from 'node:assert/strict'
import type { QkdError } from '../../lib/errors.ts'
import type { Key, Kms, KmsStatus, SecurityLevel } from '../../lib/interface/kms.ts'
import {
  bobHas,
  eventually,
  idsOf,
  type KmsCase,
  type KmsFixture,
  refused,
  sameKeys,
  UNKNOWN_ID,
  wipe,
} from './kms-fixture.ts'

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const LEVELS = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const TRUST_CLASSES = ['direct', 'split', 'relayed', 'post-quantum']

/** Takes keys until the pool refuses even one; what refuses a larger number must leave the smaller. */
async function drain({ alice, bob }: KmsFixture, status: KmsStatus): Promise<Key[]> {
  const taken: Key[] = []
  for (const number of [status.maxKeyPerRequest, Math.ceil(status.maxKeyPerRequest / 8), 1]) {
    for (;;) {
      const { storedKeyCount } = await alice.getStatus(bob.saeId)
      try {
        taken.push(...(await alice.getKey(bob.saeId, { number })))
      } catch (error) {
        await refused(Promise.reject(error), 'ERR_QKD_POOL_EXHAUSTED')
        assert.ok((await alice.getStatus(bob.saeId)).storedKeyCount >= storedKeyCount, 'a refusal used keys up')
        break
      }
      assert.ok(taken.length <= status.maxKeyCount * 16, 'the pool gives keys without end')
    }
  }
  return taken
}

/** What a `Kms` gives: to whom, how much, how often, and what is left afterwards. */
export const deliveryCases: readonly KmsCase[] = [
  [
    'gives Bob the key that Alice was given',
    async fixture => {
      const given = await fixture.alice.getKey(fixture.bob.saeId)
      assert.equal(given.length, 1)
      assert.match(given[0]!.keyId, UUID_V4)
      await bobHas(fixture, given)
    },
  ],
  [
    'gives several keys, all different, and in the order in which they are asked for',
    async fixture => {
      const given = await fixture.alice.getKey(fixture.bob.saeId, { number: 5 })
      assert.equal(given.length, 5)
      assert.equal(new Set(idsOf(given)).size, 5)
      for (const [n, { secret }] of given.entries()) {
        assert.ok(given.slice(n + 1).every(other => !other.secret.equals(secret)))
      }
      const shuffled = [3, 0, 4, 1, 2].map(n => given[n]!)
      await bobHas(fixture, shuffled)
    },
  ],
  [
    'gives keys fetched one by one and in any order',
    async fixture => {
      const given = await fixture.alice.getKey(fixture.bob.saeId, { number: 3 })
      for (const key of given.toReversed()) await bobHas(fixture, [key])
    },
  ],
  [
    'gives keys of the default size, and of each size that is asked for',
    async fixture => {
      const { alice, bob } = fixture
      const status = await alice.getStatus(bob.saeId)
      const [key] = await alice.getKey(bob.saeId)
      assert.equal(key?.sizeBits, status.keySizeBits)
      assert.equal(key?.secret.sizeBits, status.keySizeBits)
      await bobHas(fixture, [key!])
      for (const sizeBits of [status.minKeySizeBits, 128, 264, status.maxKeySizeBits]) {
        const given = await alice.getKey(bob.saeId, { sizeBits, number: 2 })
        assert.deepEqual(
          given.map(({ secret }) => secret.sizeBits),
          [sizeBits, sizeBits],
        )
        await bobHas(fixture, given)
      }
    },
  ],
  [
    'gives as many keys as one request may ask for',
    async fixture => {
      const { maxKeyPerRequest } = await fixture.alice.getStatus(fixture.bob.saeId)
      const given = await eventually(() => fixture.alice.getKey(fixture.bob.saeId, { number: maxKeyPerRequest }))
      assert.equal(new Set(idsOf(given)).size, maxKeyPerRequest)
      await bobHas(fixture, given)
    },
  ],
  [
    'reports a status that is consistent in itself',
    async ({ alice, bob }) => {
      const there = await alice.getStatus(bob.saeId)
      assert.equal(there.masterSaeId, alice.saeId)
      assert.equal(there.slaveSaeId, bob.saeId)
      assert.ok(there.minKeySizeBits > 0)
      assert.ok(there.minKeySizeBits <= there.keySizeBits && there.keySizeBits <= there.maxKeySizeBits)
      for (const sizeBits of [there.minKeySizeBits, there.keySizeBits, there.maxKeySizeBits])
        assert.equal(sizeBits % 8, 0)
      assert.ok(there.maxKeyPerRequest >= 1)
      assert.ok(there.storedKeyCount >= 0 && there.storedKeyCount <= there.maxKeyCount)
      assert.ok(there.maxKeyCount < 2 ** 31)
      assert.ok(there.maxSaeIdCount >= 0)
      const back = await bob.getStatus(alice.saeId)
      assert.equal(back.sourceKmeId, there.targetKmeId)
      assert.equal(back.targetKmeId, there.sourceKmeId)
    },
  ],
  [
    'reports level and trust class, the same at both ends',
    async fixture => {
      const given = await fixture.alice.getKey(fixture.bob.saeId, { level: 'quantum' })
      assert.equal(given[0]?.level, 'quantum')
      assert.ok(TRUST_CLASSES.includes(String(given[0]?.trustClass)))
      await bobHas(fixture, given)
      const byDefault = await fixture.alice.getKey(fixture.bob.saeId)
      assert.ok(LEVELS.includes(String(byDefault[0]?.level)))
      await bobHas(fixture, byDefault)
    },
  ],
  [
    'gives the levels that it offers, alike at both ends',
    async fixture => {
      const offered: string[] = []
      for (const level of LEVELS as SecurityLevel[]) {
        const given = await fixture.alice.getKey(fixture.bob.saeId, { level }).catch((error: QkdError) => error)
        if (given instanceof Error) assert.equal(given.code, 'ERR_QKD_POLICY_DENIED')
        else {
          offered.push(level)
          assert.equal(given[0]?.level, level)
          await bobHas(fixture, given)
        }
      }
      assert.ok(offered.includes('quantum'), `it offers ${offered.join(', ')}`)
    },
  ],
  [
    'gives a further slave of the same site the same key, or says by its status that it has no multicast',
    async fixture => {
      const { alice, bob, carol } = fixture
      const additionalSlaveSaeIds = [carol.saeId]
      if ((await alice.getStatus(bob.saeId)).maxSaeIdCount === 0) {
        await refused(alice.getKey(bob.saeId, { additionalSlaveSaeIds }), 'ERR_QKD_INVALID_ARGUMENT')
        return
      }
      const given = await eventually(() => alice.getKey(bob.saeId, { number: 2, additionalSlaveSaeIds }))
      const forCarol = await carol.getKeyWithIds(alice.saeId, idsOf(given))
      const forBob = await bob.getKeyWithIds(alice.saeId, idsOf(given))
      given.forEach(({ secret }, at) => {
        assert.ok(secret.equals(forCarol[at]!.secret) && secret.equals(forBob[at]!.secret), 'it is not the same key')
      })
      await refused(carol.getKeyWithIds(alice.saeId, idsOf(given)), 'ERR_QKD_KEY_NOT_FOUND')
      await refused(bob.getKeyWithIds(alice.saeId, idsOf(given)), 'ERR_QKD_KEY_NOT_FOUND')
      wipe(given, forCarol, forBob)
    },
  ],
  [
    'gives each key once: a second fetch is refused',
    async fixture => {
      const { alice, bob } = fixture
      const given = await alice.getKey(bob.saeId, { number: 2 })
      const ids = idsOf(given)
      await bobHas(fixture, given)
      await refused(bob.getKeyWithIds(alice.saeId, ids), 'ERR_QKD_KEY_NOT_FOUND')
      for (const id of ids) await refused(bob.getKeyWithIds(alice.saeId, [id]), 'ERR_QKD_KEY_NOT_FOUND')
    },
  ],
  [
    'gives a key to one of many fetches at once',
    async ({ alice, bob }) => {
      const given = await alice.getKey(bob.saeId)
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, () => bob.getKeyWithIds(alice.saeId, idsOf(given))),
      )
      const fetched = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
      assert.equal(fetched.length, 1)
      sameKeys(given, fetched[0]!)
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'ERR_QKD_KEY_NOT_FOUND')
      }
    },
  ],
  [
    'gives all keys or none: with an unknown ID among them nothing is used up',
    async fixture => {
      const { alice, bob } = fixture
      const given = await alice.getKey(bob.saeId, { number: 2 })
      const [first, second] = idsOf(given)
      await refused(bob.getKeyWithIds(alice.saeId, [first!, UNKNOWN_ID, second!]), 'ERR_QKD_KEY_NOT_FOUND')
      await bobHas(fixture, given)
    },
  ],
  [
    'gives all keys or none: with a delivered ID among them nothing is used up',
    async fixture => {
      const { alice, bob } = fixture
      const [spent, ...fresh] = await alice.getKey(bob.saeId, { number: 3 })
      const id = spent!.keyId
      await bobHas(fixture, [spent!])
      await refused(bob.getKeyWithIds(alice.saeId, [...idsOf(fresh), id]), 'ERR_QKD_KEY_NOT_FOUND')
      await bobHas(fixture, fresh)
    },
  ],
  [
    'takes what is no UUID for an unknown key',
    async ({ alice, bob }) => {
      for (const id of ['not-a-uuid', UNKNOWN_ID, UNKNOWN_ID.replace('-4', '-1'), `${UNKNOWN_ID}0`, 'ü'.repeat(36)]) {
        await refused(bob.getKeyWithIds(alice.saeId, [id]), 'ERR_QKD_KEY_NOT_FOUND')
      }
    },
  ],
  [
    'knows a key_ID in upper case',
    async ({ alice, bob }) => {
      const given = await alice.getKey(bob.saeId)
      sameKeys(given, await bob.getKeyWithIds(alice.saeId, [given[0]!.keyId.toUpperCase()]))
    },
  ],
  [
    'rethrows the reason of an abort and uses nothing up',
    async fixture => {
      const { alice, bob } = fixture
      const given = await alice.getKey(bob.saeId)
      const reason = new Error('no patience')
      const signal = AbortSignal.abort(reason)
      await assert.rejects(alice.getKey(bob.saeId, { signal }), reason)
      await assert.rejects(alice.getStatus(bob.saeId, { signal }), reason)
      await assert.rejects(bob.getKeyWithIds(alice.saeId, idsOf(given), { signal }), reason)
      await bobHas(fixture, given)
    },
  ],
  [
    'gives keys both ways at once, none twice, and the same at both ends',
    async ({ alice, bob }) => {
      const seen = new Map<string, Key>()
      const run = async (master: Kms, slave: Kms) => {
        for (let n = 0; n < 10; n += 1) {
          const given = await eventually(() => master.getKey(slave.saeId, { number: 2 }))
          const fetched = await slave.getKeyWithIds(master.saeId, idsOf(given))
          given.forEach((key, at) => {
            assert.ok(key.secret.equals(fetched[at]!.secret))
            assert.ok(!seen.has(key.keyId), 'a key_ID was given twice')
            seen.set(key.keyId, key)
          })
          wipe(fetched)
        }
      }
      await Promise.all([run(alice, bob), run(bob, alice), run(alice, bob), run(bob, alice), run(alice, bob)])
      const keys = [...seen.values()]
      for (const [n, { secret }] of keys.entries()) {
        assert.ok(keys.slice(n + 1).every(other => !other.secret.equals(secret)))
      }
      wipe(keys)
    },
  ],
  [
    'refuses when the pool is used up, gives none of a number it cannot give whole, and recovers',
    async fixture => {
      const { alice, bob } = fixture
      await fixture.stopGeneration()
      const status = await alice.getStatus(bob.saeId)
      const taken = await drain(fixture, status)
      // What was given before is still to be had at the other side.
      for (let from = 0; from < taken.length; from += status.maxKeyPerRequest) {
        await bobHas(fixture, taken.slice(from, from + status.maxKeyPerRequest))
      }
      await fixture.startGeneration()
      await bobHas(fixture, await eventually(() => alice.getKey(bob.saeId, { number: 3 })))
    },
  ],
]
