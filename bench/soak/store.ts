import { join } from 'node:path'
import { LmdbPoolStore } from '../../lib/kms/store/lmdb-store.ts'
import { tryPoolStore } from '../../test/helpers/pool-store-trial.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import type { SoakOptions } from '../soak.ts'

/** Runs of random batches on LMDB beside a model on paper, with a disk that fails before and behind commits. */
export async function run({ count = 500, log }: SoakOptions): Promise<void> {
  await using dir = await createTempDir()
  const path = join(dir.path, 'store')
  const tried = {
    store: await LmdbPoolStore.open(path),
    async reopen() {
      await tried.store.close()
      return await LmdbPoolStore.open(path)
    },
  }
  log(JSON.stringify(await tryPoolStore(tried, { runs: count })))
  await tried.store.close()
}
