import assert from 'node:assert/strict'
import type { SecurityLevel } from '../../lib/interface/kms.ts'
import { bobHas, idsOf, type KmsCase, refused, sameKeys, UNKNOWN_ID, wipe } from './kms-fixture.ts'

/** What a `Kms` refuses, by which error, and that a refusal uses nothing up. */
export const refusalCases: readonly KmsCase[] = [
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
]
