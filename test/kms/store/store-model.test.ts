import { join } from 'node:path'
import { expect } from 'chai'
import { LmdbPoolStore } from '../../../lib/kms/store/lmdb-store.ts'
import { MemoryPoolStore } from '../../../lib/kms/store/memory-store.ts'
import { type TriedStore, tryPoolStore } from '../../helpers/pool-store-trial.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

/** Each store with a way to open it again; what it rests on goes at the end. */
const stores: Record<string, () => Promise<TriedStore & AsyncDisposable>> = {
  memory: async () => {
    const store = new MemoryPoolStore()
    return { store, reopen: async () => store, [Symbol.asyncDispose]: () => store.close() }
  },
  LMDB: async () => {
    const dir = await createTempDir()
    const path = join(dir.path, 'store')
    const tried = {
      store: await LmdbPoolStore.open(path),
      async reopen() {
        await tried.store.close()
        return await LmdbPoolStore.open(path)
      },
      async [Symbol.asyncDispose]() {
        await tried.store.close()
        await dir[Symbol.asyncDispose]()
      },
    }
    return tried
  },
}

for (const [name, open] of Object.entries(stores)) {
  describe(`PoolStore in ${name}, beside a model on paper`, function () {
    this.timeout(60_000)

    it('answers and keeps what the model does, on a disk that fails before and behind commits', async () => {
      await using tried = await open()
      const counts = await tryPoolStore(tried, { runs: 60 })
      // A run in which nearly everything is refused would show little.
      expect(counts.written).to.be.above(200)
      expect(counts.refused).to.be.above(200)
      expect(counts.failed).to.be.above(100)
    })
  })
}
