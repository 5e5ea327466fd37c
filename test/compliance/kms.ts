import assert from 'node:assert/strict'
import type { Key, Kms, KmsStatus, SecurityLevel } from '../../lib/interface/kms.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/**
 * What the suite needs of a backend: two sites that share a pool, Alice's SAE at one of them, Bob's and Carol's at the other.
 */
export interface KmsFixture {
  readonly alice: Kms
  readonly bob: Kms
  /** A second SAE of Bob's site. */
  readonly carol: Kms
  /** An SAE ID that nobody has registered. */
  readonly unknownSaeId: string
  /** A level that is known and that the policy refuses to Alice. */
  readonly deniedLevel: SecurityLevel
  /** Another `Kms` for Alice's SAE, which the case closes. */
  openAlice(): Promise<Kms>
  /** Lets no more key material come to the two sites, so that what they have can be used up. */
  stopGeneration(): Promise<void>
  /** Lets key material come again. */
  startGeneration(): Promise<void>
}

type Case = ComplianceCase<KmsFixture>

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000'
const LEVELS = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const TRUST_CLASSES = ['direct', 'split', 'relayed']

/** Expects a rejection with one of `codes`, of the class that goes with it. */
async function refused(promise: Promise<unknown>, ...codes: string[]): Promise<Error & { code: string }> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  const error = outcome as (Error & { code: string }) | undefined
  assert.ok(error !== undefined, `expected a refusal with ${codes.join(' or ')}`)
  assert.ok(codes.includes(error.code), `expected ${codes.join(' or ')}, got ${error.code}: ${error.message}`)
  return error
}

const idsOf = (keys: readonly Key[]): string[] => keys.map(({ keyId }) => keyId)

/** Expects the two to be the same keys under the same IDs, and wipes them. */
function sameKeys(given: readonly Key[], fetched: readonly Key[]): void {
  assert.deepEqual(idsOf(fetched), idsOf(given))
  given.forEach((key, n) => {
    const other = fetched[n]!
    assert.ok(key.secret.equals(other.secret), `the two ends have different keys under ${key.keyId}`)
    assert.equal(other.sizeBits, key.sizeBits)
    assert.equal(other.level, key.level)
    assert.equal(other.trustClass, key.trustClass)
  })
  wipe(given, fetched)
}

function wipe(...lists: readonly (readonly Key[])[]): void {
  for (const key of lists.flat()) key.secret.wipe()
}

/** Bob fetches what Alice was given, and has the same. */
async function bobHas({ alice, bob }: KmsFixture, given: readonly Key[]): Promise<void> {
  sameKeys(given, await bob.getKeyWithIds(alice.saeId, idsOf(given)))
}

/** Calls until it succeeds: after a stop the pool needs a moment. */
async function eventually<T>(run: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_QKD_POOL_EXHAUSTED' || Date.now() > deadline) throw error
    }
  }
}

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

const cases: readonly Case[] = [
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
    'refuses a number that is not from 1 to the maximum',
    async ({ alice, bob }) => {
      const { maxKeyPerRequest } = await alice.getStatus(bob.saeId)
      for (const number of [0, -1, 1.5, Number.NaN, maxKeyPerRequest + 1, '2' as unknown as number]) {
        await refused(alice.getKey(bob.saeId, { number }), 'ERR_QKD_INVALID_ARGUMENT')
      }
    },
  ],
  [
    'refuses a size that is out of range or no multiple of 8',
    async ({ alice, bob }) => {
      const { minKeySizeBits, maxKeySizeBits } = await alice.getStatus(bob.saeId)
      const sizes = [0, -8, 1.5, minKeySizeBits - 8, maxKeySizeBits + 8, 250, '256' as unknown as number]
      for (const sizeBits of sizes) await refused(alice.getKey(bob.saeId, { sizeBits }), 'ERR_QKD_INVALID_ARGUMENT')
    },
  ],
  [
    'refuses an unknown slave, and the caller itself as slave',
    async ({ alice, unknownSaeId }) => {
      for (const slave of [unknownSaeId, alice.saeId, '', ' ', 'x'.repeat(292)]) {
        await refused(alice.getKey(slave), 'ERR_QKD_INVALID_ARGUMENT')
        await refused(alice.getStatus(slave), 'ERR_QKD_INVALID_ARGUMENT')
      }
    },
  ],
  [
    'refuses an unknown master',
    async fixture => {
      const given = await fixture.alice.getKey(fixture.bob.saeId)
      const fetching = fixture.bob.getKeyWithIds(fixture.unknownSaeId, idsOf(given))
      await refused(fetching, 'ERR_QKD_INVALID_ARGUMENT', 'ERR_QKD_UNAUTHORIZED', 'ERR_QKD_KEY_NOT_FOUND')
      await bobHas(fixture, given)
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
    'refuses an empty list of IDs, and the same ID twice, without using it up',
    async fixture => {
      const { alice, bob } = fixture
      const given = await alice.getKey(bob.saeId)
      const id = given[0]!.keyId
      for (const ids of [[], [''], [id, id], [id, id.toUpperCase()]]) {
        await refused(bob.getKeyWithIds(alice.saeId, ids), 'ERR_QKD_INVALID_ARGUMENT')
      }
      await bobHas(fixture, given)
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
    "refuses Bob's key to his neighbour Carol, and still gives it to Bob",
    async fixture => {
      const given = await fixture.alice.getKey(fixture.bob.saeId)
      await refused(fixture.carol.getKeyWithIds(fixture.alice.saeId, idsOf(given)), 'ERR_QKD_UNAUTHORIZED')
      await bobHas(fixture, given)
    },
  ],
  [
    "refuses Bob's and Carol's keys in one request, without using either up",
    async fixture => {
      const { alice, bob, carol } = fixture
      const forBob = await alice.getKey(bob.saeId)
      const forCarol = await alice.getKey(carol.saeId)
      const both = [...idsOf(forBob), ...idsOf(forCarol)]
      await refused(bob.getKeyWithIds(alice.saeId, both), 'ERR_QKD_UNAUTHORIZED')
      await bobHas(fixture, forBob)
      sameKeys(forCarol, await carol.getKeyWithIds(alice.saeId, idsOf(forCarol)))
    },
  ],
  [
    'refuses a key to the master itself, and still gives it to Bob',
    async fixture => {
      const { alice, bob } = fixture
      const given = await alice.getKey(bob.saeId)
      for (const master of [alice.saeId, bob.saeId]) {
        const fetching = alice.getKeyWithIds(master, idsOf(given))
        await refused(fetching, 'ERR_QKD_UNAUTHORIZED', 'ERR_QKD_KEY_NOT_FOUND', 'ERR_QKD_INVALID_ARGUMENT')
      }
      await bobHas(fixture, given)
    },
  ],
  [
    'refuses a key under the name of another master, and still gives it to Bob',
    async fixture => {
      const { alice, bob, carol } = fixture
      const given = await alice.getKey(bob.saeId)
      const fetching = bob.getKeyWithIds(carol.saeId, idsOf(given))
      await refused(fetching, 'ERR_QKD_UNAUTHORIZED', 'ERR_QKD_KEY_NOT_FOUND', 'ERR_QKD_INVALID_ARGUMENT')
      await bobHas(fixture, given)
    },
  ],
  [
    'refuses an extension that must be understood and is not, and passes over an optional one',
    async fixture => {
      const { alice, bob } = fixture
      const route = [{ abc_route_type: 'direct' }]
      const before = (await alice.getStatus(bob.saeId)).storedKeyCount
      for (let n = 0; n < 3; n += 1) {
        const asking = alice.getKey(bob.saeId, { extensionMandatory: route })
        const error = await refused(asking, 'ERR_QKD_INVALID_ARGUMENT')
        assert.equal(error.message, 'not all extension_mandatory parameters are supported')
      }
      assert.ok((await alice.getStatus(bob.saeId)).storedKeyCount >= before)
      await bobHas(fixture, await alice.getKey(bob.saeId, { extensionOptional: route }))
      const wrong = { extensionMandatory: ['abc' as unknown as Record<string, unknown>] }
      await refused(alice.getKey(bob.saeId, wrong), 'ERR_QKD_INVALID_ARGUMENT')
    },
  ],
  [
    'refuses a level that the policy does not allow, and one that nobody knows',
    async ({ alice, bob, deniedLevel }) => {
      await refused(alice.getKey(bob.saeId, { level: deniedLevel }), 'ERR_QKD_POLICY_DENIED')
      await refused(alice.getKey(bob.saeId, { level: 'purple' as SecurityLevel }), 'ERR_QKD_INVALID_ARGUMENT')
    },
  ],
  [
    'refuses more further slaves than the status allows, and slaves named twice',
    async ({ alice, bob, carol, unknownSaeId }) => {
      const { maxSaeIdCount } = await alice.getStatus(bob.saeId)
      const tooMany = Array.from({ length: maxSaeIdCount + 1 }, (_, n) => `${unknownSaeId}-${n}`)
      const lists = [tooMany, [bob.saeId], [alice.saeId], [carol.saeId, carol.saeId], ['']]
      for (const additionalSlaveSaeIds of lists) {
        await refused(alice.getKey(bob.saeId, { additionalSlaveSaeIds }), 'ERR_QKD_INVALID_ARGUMENT')
      }
      wipe(await alice.getKey(bob.saeId, { additionalSlaveSaeIds: [] }))
    },
  ],
  [
    'refuses a time to wait that is no positive integer',
    async ({ alice, bob }) => {
      for (const timeoutMs of [0, -1, 1.5, Number.POSITIVE_INFINITY]) {
        await refused(alice.getStatus(bob.saeId, { timeoutMs }), 'ERR_QKD_INVALID_ARGUMENT')
        await refused(alice.getKey(bob.saeId, { timeoutMs }), 'ERR_QKD_INVALID_ARGUMENT')
        await refused(bob.getKeyWithIds(alice.saeId, [UNKNOWN_ID], { timeoutMs }), 'ERR_QKD_INVALID_ARGUMENT')
      }
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
    'refuses every call once it is closed, and leaves the others alone',
    async fixture => {
      const { bob } = fixture
      const other = await fixture.openAlice()
      const given = await other.getKey(bob.saeId)
      await other.close()
      await other.close()
      await refused(other.getStatus(bob.saeId), 'ERR_QKD_CLOSED')
      await refused(other.getKey(bob.saeId), 'ERR_QKD_CLOSED')
      await refused(other.getKeyWithIds(bob.saeId, [UNKNOWN_ID]), 'ERR_QKD_CLOSED')
      await bobHas(fixture, given)
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

/** Runs the contract of `Kms` against one backend. No case may be skipped: backends behave alike. */
export function kmsCompliance(setup: Omit<TestSetup<KmsFixture>, 'skip'>): void {
  runSuite('Kms', setup, cases)
}
