/** Two whole sites behind ETSI GS QKD 014, in a process of their own, so that their work counts for neither end of TLS. */
import type { RemoteKmsOptions } from '../../lib/index.ts'
import { createServedTestSites, type ServedTestSites } from '../../test/helpers/test-sites.ts'
import { answer } from './bench-process.ts'

/** What `createRemoteKms` needs at each end. */
export interface RemoteEnds {
  readonly alice: RemoteKmsOptions
  readonly bob: RemoteKmsOptions
}

let sites: ServedTestSites | undefined

answer(
  async (): Promise<RemoteEnds> => {
    sites = await createServedTestSites()
    const [alice, bob] = (['alice', 'bob'] as const).map((saeId, at) => ({
      saeId,
      baseUrl: sites!.sites[at]!.address.etsi014.url,
      ...sites!.credentials(saeId),
    })) as [RemoteKmsOptions, RemoteKmsOptions]
    return { alice, bob }
  },
  async () => sites?.[Symbol.asyncDispose](),
)
