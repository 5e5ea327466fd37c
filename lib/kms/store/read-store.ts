import { join } from 'node:path'
import { StoreError } from '../../errors.ts'
import type { PoolStore } from '../../interface/pool-store.ts'
import { RowMac } from '../../key/row-mac.ts'
import { loadKek } from './key-encryption-key.ts'
import { LmdbPoolStore } from './lmdb-store.ts'
import { allKeks, type StorePlace } from './open-store.ts'
import { SlotFile } from './slot-file.ts'

/**
 * Opens a store to read rows from it, while a site runs on it or not: each pool as it stands at one moment. Nothing is
 * written; the caller closes it.
 * @throws {StoreError} there is none, its key is missing or another one, or it is of another layout than the present
 */
export async function openStoreToRead({
  path,
  kek: source,
}: StorePlace): Promise<Pick<PoolStore, 'poolIds' | 'snapshot' | 'close'>> {
  const store = await LmdbPoolStore.openToRead(path)
  try {
    const current = await loadKek(source, { create: false, directory: path })
    const slots = await SlotFile.open(join(path, 'slots.bin'), await allKeks(source, current, path))
    try {
      const [own] = await slots.ownKeys('rows')
      if (own === undefined) throw new StoreError(`The store in ${path} has no key for its rows`)
      await store.protect(new RowMac(own.key))
      own.key.wipe()
    } finally {
      await slots.close()
    }
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}
