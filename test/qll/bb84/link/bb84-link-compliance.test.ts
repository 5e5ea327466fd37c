import { createBb84LinkPair } from '../../../../lib/qll/bb84/link/bb84-link-pair.ts'
import { linkCompliance } from '../../../compliance/link.ts'
import { SMALL_LINK } from '../../../helpers/bb84-link.ts'

linkCompliance({
  backend: 'BB84, in one process',
  async setup() {
    const ends = createBb84LinkPair({ ...SMALL_LINK, siteIds: ['alice', 'bob'] })
    return { ends, interrupt: async () => ends[0].interrupt(), restore: async () => ends[0].restore() }
  },
  async teardown({ ends }) {
    await Promise.all(ends.map(end => end.close()))
  },
})
