import assert from 'node:assert/strict'
import type { Key, Kms, SecurityLevel } from '../../lib/interface/kms.ts'
import type { ComplianceCase } from './suite.ts'

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

/** One case of the `Kms` suite. */
export type KmsCase = ComplianceCase<KmsFixture>

/** A key_ID of the right form that nobody was given. */
export const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000'

/** Expects a rejection with one of `codes`, of the class that goes with it. */
export async function refused(promise: Promise<unknown>, ...codes: string[]): Promise<Error & { code: string }> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  const error = outcome as (Error & { code: string }) | undefined
  assert.ok(error !== undefined, `expected a refusal with ${codes.join(' or ')}`)
  assert.ok(codes.includes(error.code), `expected ${codes.join(' or ')}, got ${error.code}: ${error.message}`)
  return error
}

/** The key_IDs of keys, in their order. */
export const idsOf = (keys: readonly Key[]): string[] => keys.map(({ keyId }) => keyId)

/** Expects the two to be the same keys under the same IDs, and wipes them. */
export function sameKeys(given: readonly Key[], fetched: readonly Key[]): void {
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

/** Wipes every key of every list. */
export function wipe(...lists: readonly (readonly Key[])[]): void {
  for (const key of lists.flat()) key.secret.wipe()
}

/** Bob fetches what Alice was given, and has the same. */
export async function bobHas({ alice, bob }: KmsFixture, given: readonly Key[]): Promise<void> {
  sameKeys(given, await bob.getKeyWithIds(alice.saeId, idsOf(given)))
}

/** Calls until it succeeds: after a stop the pool needs a moment. */
export async function eventually<T>(run: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_QKD_POOL_EXHAUSTED' || Date.now() > deadline) throw error
    }
  }
}
