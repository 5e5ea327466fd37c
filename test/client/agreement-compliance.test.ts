import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { type AgreementFixture, agreementCompliance } from '../compliance/agreement.ts'
import { createTestSites, type TestSites } from '../helpers/test-sites.ts'

agreementCompliance({
  backend: 'embedded KMS, memory',
  setup: async () => {
    const sites = await createTestSites()
    return { ...sites, open: async () => createMemoryChannelPair(['alice', 'bob']), sites }
  },
  teardown: async fixture => {
    await (fixture as AgreementFixture & { sites: TestSites }).sites[Symbol.asyncDispose]()
  },
})
