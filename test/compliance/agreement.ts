import assert from 'node:assert/strict'
import { acceptAgreement } from '../../lib/client/agreement/accept.ts'
import { initiateAgreement } from '../../lib/client/agreement/initiate.ts'
import type { AgreedKey, AgreementOutcome } from '../../lib/client/agreement/outcome.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'
import { type ComplianceCase, runSuite, type TestSetup } from './suite.ts'

/** What the suite needs: two hosts at two sites, and a way to open channels between them. */
export interface AgreementFixture {
  readonly alice: Kms
  readonly bob: Kms
  /** A fresh channel: the end at alice and the end at bob. */
  open(): Promise<readonly [MessageChannel, MessageChannel]>
}

type Case = ComplianceCase<AgreementFixture>

const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code

/** A case with a fresh channel, closed at the end whatever happens. */
const withChannel = (run: (fixture: AgreementFixture & { a: MessageChannel; b: MessageChannel }) => Promise<void>) =>
  async function withFreshChannel(fixture: AgreementFixture): Promise<void> {
    const [a, b] = await fixture.open()
    try {
      await run({ ...fixture, a, b })
    } finally {
      await Promise.all([a.close(), b.close()])
    }
  }

function agreed(outcome: AgreementOutcome): AgreedKey {
  assert.equal(outcome.outcome, 'agreed')
  return (outcome as Extract<AgreementOutcome, { outcome: 'agreed' }>).key
}

/** One agreement that must come about; gives both keys, compared. */
async function agree(
  [from, fromEnd]: readonly [Kms, MessageChannel],
  [to, toEnd]: readonly [Kms, MessageChannel],
  { purpose = 'compliance', sizeBits = 256 } = {},
): Promise<readonly [AgreedKey, AgreedKey]> {
  const [begun, accepted] = await Promise.all([
    initiateAgreement(from, fromEnd, { peerSaeId: to.saeId, purpose, sizeBits }),
    acceptAgreement(to, toEnd, { purpose }),
  ])
  const [mine, theirs] = [agreed(begun), agreed(accepted)]
  assert.ok(mine.secret.equals(theirs.secret), 'the two ends have different keys')
  return [mine, theirs]
}

const cases: readonly Case[] = [
  [
    'gives both ends the same key, of the size asked, and says what it is',
    withChannel(async ({ alice, bob, a, b }) => {
      for (const sizeBits of [256, 384, 512]) {
        const keys = await agree([alice, a], [bob, b], { purpose: 'size', sizeBits })
        for (const key of keys) {
          assert.equal(key.sizeBits, sizeBits)
          assert.equal(key.secret.sizeBits, sizeBits)
          assert.deepEqual([key.masterSaeId, key.slaveSaeId, key.purpose], [alice.saeId, bob.saeId, 'size'])
        }
        assert.equal(keys[0].keyId.toLowerCase(), keys[1].keyId.toLowerCase())
      }
    }),
  ],
  [
    'serves one agreement after the other on one channel, begun by either end, each under another key',
    withChannel(async ({ alice, bob, a, b }) => {
      const [first] = await agree([alice, a], [bob, b])
      const [second] = await agree([bob, b], [alice, a])
      const [third] = await agree([alice, a], [bob, b])
      assert.equal(second.masterSaeId, bob.saeId)
      assert.equal(new Set([first.keyId, second.keyId, third.keyId]).size, 3)
      assert.ok(!first.secret.equals(third.secret))
    }),
  ],
  [
    'serves many agreements at once, each on a channel of its own',
    async ({ alice, bob, open }) => {
      const keyIds = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const [a, b] = await open()
          try {
            return (await agree([alice, a], [bob, b]))[0].keyId
          } finally {
            await Promise.all([a.close(), b.close()])
          }
        }),
      )
      assert.equal(new Set(keyIds).size, keyIds.length)
    },
  ],
  [
    'uses up the key of the KMS: nobody gets it again',
    withChannel(async ({ alice, bob, a, b }) => {
      const [{ keyId }] = await agree([alice, a], [bob, b])
      await assert.rejects(bob.getKeyWithIds(alice.saeId, [keyId]), hasCode('ERR_QKD_KEY_NOT_FOUND'))
    }),
  ],
  [
    'refuses a purpose that the responder does not serve, and agrees on the next one',
    withChannel(async ({ alice, bob, a, b }) => {
      const [begun, accepted] = await Promise.all([
        initiateAgreement(alice, a, { peerSaeId: bob.saeId, purpose: 'one' }),
        acceptAgreement(bob, b, { purpose: 'other' }),
      ])
      assert.deepEqual(begun, { outcome: 'refused', code: 'wrong-purpose', burnedKeyId: undefined })
      assert.deepEqual(accepted, { outcome: 'mismatch', fault: 'wrong-purpose', burnedKeyId: undefined })
      await agree([alice, a], [bob, b])
    }),
  ],
  [
    'ends in time where nobody answers, and agrees afterwards on the same channel',
    withChannel(async ({ alice, bob, a, b }) => {
      const lonely = await initiateAgreement(alice, a, { peerSaeId: bob.saeId, purpose: 'compliance', timeoutMs: 50 })
      assert.deepEqual(lonely, { outcome: 'timed-out', waitingFor: 'peer', burnedKeyId: undefined })
      const late = await acceptAgreement(bob, b, { purpose: 'compliance' })
      assert.deepEqual(late, { outcome: 'refused', code: 'timed-out', burnedKeyId: undefined })
      await agree([alice, a], [bob, b])
    }),
  ],
  [
    'rejects with the reason of an abort and tells the other end',
    withChannel(async ({ alice, bob, a, b }) => {
      const controller = new AbortController()
      const reason = new Error('changed my mind')
      const options = { peerSaeId: bob.saeId, purpose: 'compliance', signal: controller.signal }
      const begun = assert.rejects(initiateAgreement(alice, a, options), reason)
      // Once the offer has gone out; before that there is nobody to tell.
      await new Promise(resolve => setImmediate(resolve))
      controller.abort(reason)
      await begun
      const accepted = await acceptAgreement(bob, b, { purpose: 'compliance' })
      assert.deepEqual(accepted, { outcome: 'refused', code: 'cancelled', burnedKeyId: undefined })
    }),
  ],
  [
    'ends where the other end closes the channel',
    withChannel(async ({ alice, bob, a, b }) => {
      const begun = initiateAgreement(alice, a, { peerSaeId: bob.saeId, purpose: 'compliance' })
      await b.close()
      assert.deepEqual(await begun, { outcome: 'peer-closed', burnedKeyId: undefined })
    }),
  ],
]

/** Runs the generic protocol between two hosts, over their own KMSs and their own kind of channel. */
export function agreementCompliance(setup: TestSetup<AgreementFixture>): void {
  runSuite('Agreement', setup, cases)
}
