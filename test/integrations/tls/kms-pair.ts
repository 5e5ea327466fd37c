import type { Kms } from '../../../lib/index.ts'
import { createTestSites, type TestSites } from '../../helpers/test-sites.ts'

let sites: Promise<TestSites> | undefined

/**
 * The KMSs of alice and bob, at two real sites. The sites are the same for every test of this folder, because filling a
 * pool takes longer than a handshake; they are closed when the run ends.
 */
export async function createKmsPair(): Promise<{ alice: Kms; bob: Kms; carol: Kms }> {
  sites ??= createTestSites()
  return sites
}

after(async () => {
  await (await sites)?.[Symbol.asyncDispose]()
})
