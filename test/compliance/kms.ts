import { deliveryCases } from './kms-delivery-cases.ts'
import type { KmsFixture } from './kms-fixture.ts'
import { refusalCases } from './kms-refusal-cases.ts'
import { runSuite, type TestSetup } from './suite.ts'

export type { KmsFixture } from './kms-fixture.ts'

/** Runs the contract of `Kms` against one backend. No case may be skipped: backends behave alike. */
export function kmsCompliance(setup: Omit<TestSetup<KmsFixture>, 'skip'>): void {
  // The delivery cases end with a pool that is used up, so they come last.
  runSuite('Kms', setup, [...refusalCases, ...deliveryCases])
}
