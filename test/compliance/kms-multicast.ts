import assert from 'node:assert/strict'
import type { GetKeyOptions, Key, Kms } from '../../lib/interface/kms.ts'
import { eventually, idsOf, refused, wipe } from './kms-fixture.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/** What the suite needs of a backend with multicast: hosts at three sites. */
export interface KmsMulticastFixture {
  readonly alice: Kms
  /** A second SAE of Alice's site. */
  readonly anna: Kms
  readonly bob: Kms
  /** A second SAE of Bob's site. */
  readonly bea: Kms
  /** An SAE of a third site. */
  readonly carl: Kms
  /** A second SAE of that site. */
  readonly cleo: Kms
}

/** Alice's keys for bob and the others; pools that have just begun need a moment. */
function share({ alice, bob }: KmsMulticastFixture, options: GetKeyOptions): Promise<Key[]> {
  return eventually(() => alice.getKey(bob.saeId, options))
}

async function has(fixture: KmsMulticastFixture, kms: Kms, given: readonly Key[]): Promise<void> {
  const fetched = await kms.getKeyWithIds(fixture.alice.saeId, idsOf(given))
  assert.deepEqual(idsOf(fetched), idsOf(given))
  given.forEach((key, at) => {
    const other = fetched[at]!
    assert.ok(key.secret.equals(other.secret), `${kms.saeId} has another key under ${key.keyId}`)
    assert.deepEqual([other.sizeBits, other.level, other.trustClass], [key.sizeBits, key.level, key.trustClass])
  })
  wipe(fetched)
}

const cases: readonly ComplianceCase<KmsMulticastFixture>[] = [
  [
    'gives hosts of three sites the same keys under the same key_IDs, each once',
    async fixture => {
      const { alice, anna, bob, bea, carl, cleo } = fixture
      const others = [anna, bea, carl, cleo]
      const { maxSaeIdCount } = await alice.getStatus(bob.saeId)
      assert.ok(maxSaeIdCount >= others.length)
      const given = await share(fixture, { number: 2, additionalSlaveSaeIds: others.map(({ saeId }) => saeId) })
      for (const kms of [carl, bob, anna, cleo, bea]) await has(fixture, kms, given)
      for (const kms of [bob, ...others])
        await refused(kms.getKeyWithIds(alice.saeId, idsOf(given)), 'ERR_QKD_KEY_NOT_FOUND')
      wipe(given)
    },
  ],
  [
    'gives a further host its key whether or not the first has fetched it, and one by one',
    async fixture => {
      const { bob, bea, carl } = fixture
      const given = await share(fixture, { number: 2, additionalSlaveSaeIds: [bea.saeId, carl.saeId] })
      for (const key of given.toReversed()) await has(fixture, bea, [key])
      for (const key of given) await has(fixture, carl, [key])
      await has(fixture, bob, given)
      wipe(given)
    },
  ],
  [
    'refuses the key to hosts of the same sites that were not named, and under another master',
    async fixture => {
      const { alice, anna, bob, bea, carl, cleo } = fixture
      const given = await share(fixture, { additionalSlaveSaeIds: [carl.saeId] })
      for (const kms of [bea, cleo]) await refused(kms.getKeyWithIds(alice.saeId, idsOf(given)), 'ERR_QKD_UNAUTHORIZED')
      await refused(carl.getKeyWithIds(anna.saeId, idsOf(given)), 'ERR_QKD_UNAUTHORIZED')
      for (const kms of [bob, carl]) await has(fixture, kms, given)
      wipe(given)
    },
  ],
  [
    'gives a key to each of its hosts once, however many ask at the same moment',
    async fixture => {
      const { alice, bea, bob, carl } = fixture
      const given = await share(fixture, { additionalSlaveSaeIds: [bea.saeId, carl.saeId] })
      for (const outcomes of await Promise.all(
        [bob, bea, carl].map(kms =>
          Promise.allSettled(Array.from({ length: 4 }, () => kms.getKeyWithIds(alice.saeId, idsOf(given)))),
        ),
      )) {
        const fetched = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
        assert.equal(fetched.length, 1)
        assert.ok(fetched[0]![0]!.secret.equals(given[0]!.secret))
      }
      wipe(given)
    },
  ],
  [
    'refuses further hosts that nobody registered, more than the status allows, and names given twice; nothing is used up',
    async fixture => {
      const { alice, bob, carl } = fixture
      const { maxSaeIdCount } = await alice.getStatus(bob.saeId)
      const tooMany = Array.from({ length: maxSaeIdCount + 1 }, (_, n) => `nobody-${n}`)
      for (const additionalSlaveSaeIds of [['nobody'], tooMany, [bob.saeId], [alice.saeId], [carl.saeId, carl.saeId]])
        await refused(alice.getKey(bob.saeId, { additionalSlaveSaeIds }), 'ERR_QKD_INVALID_ARGUMENT')
      const given = await share(fixture, {})
      await has(fixture, bob, given)
      wipe(given)
    },
  ],
]

/** Runs the part of the contract of `Kms` that is about `additionalSlaveSaeIds` against one backend that has it. */
export function kmsMulticastCompliance(setup: Omit<TestSetup<KmsMulticastFixture>, 'skip'>): void {
  runSuite('Kms multicast', setup, cases)
}
