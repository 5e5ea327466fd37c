import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Logger } from '../../interface/logger.ts'
import type { PoolStore } from '../../interface/pool-store.ts'
import { RowMac } from '../../key/row-mac.ts'
import { syncDirectory } from '../../util/sync-directory.ts'
import { CommitFile } from './commit-file.ts'
import { type KekSource, loadKek } from './key-encryption-key.ts'
import { LmdbPoolStore } from './lmdb-store.ts'
import { keksInUse, takeNextKek } from './next-kek.ts'
import { type RekeyReport, SlotFile } from './slot-file.ts'
import type { Kek } from './wrapping-key.ts'

/** A durable store of one host. */
export interface StorePlace {
  /** Directory of the store; made where it's missing. */
  readonly path: string
  /** Where the key encryption key comes from, and where the one before came from: slots under it are sealed anew. */
  readonly kek: KekSource & { readonly previous?: KekSource }
  /**
   * Where commit numbers are written a second time, so that a copy of the directory that is put back is noticed: outside of it.
   * Default the directory's own path with `.commits` behind it.
   */
  readonly commitFile?: string
}

/** An open store; all parts are the caller's to close. */
export interface OpenStore {
  readonly store: PoolStore
  readonly slots: SlotFile
  readonly marks: CommitFile
  /** What came of a change of keys, where one was due. */
  readonly rekeyed?: RekeyReport
}

/**
 * Opens a store in its directory, or makes it there. A change of key encryption keys that a crash has cut short, or that
 * `previous` asks for, is done first. The logger is told where commit numbers cannot be written.
 * @throws {StoreError} another process uses it, its key is missing or another one, or a newer version wrote it
 */
export async function openStore(
  { path, kek: source, commitFile = `${path}.commits` }: StorePlace,
  { logger }: { logger?: Logger | undefined } = {},
): Promise<OpenStore> {
  if ('file' in source) await mkdir(dirname(source.file), { recursive: true, mode: 0o700 })
  // The store first: it is what another process is kept out by.
  const store = await LmdbPoolStore.open(path)
  let slots: SlotFile | undefined
  try {
    const create = (await store.poolIds()).length === 0
    const current = await loadKek(source, { create, directory: path })
    slots = await SlotFile.open(join(path, 'slots.bin'), await allKeks(source, current, path))
    const rowKey = await slots.ownKey('rows')
    const rows = new RowMac(rowKey)
    rowKey.wipe()
    await store.protect(rows)
    // The names of what was made, before anything in it is told of.
    if (create) for (const directory of [path, dirname(path)]) await syncDirectory(directory)
    const taken = 'file' in source ? await takeNextKek(source.file, slots) : undefined
    const rekeyed = taken ?? (source.previous === undefined ? undefined : await slots.rekey())
    const marks = await CommitFile.open(commitFile, { logger })
    return { store, slots, marks, ...(rekeyed && { rekeyed }) }
  } catch (error) {
    await slots?.close()
    await store.close()
    throw error
  }
}

/** The key in use, and the one before it while keys change. */
export async function allKeks(
  source: StorePlace['kek'],
  current: Kek,
  directory: string,
): Promise<{ kek: Kek; earlier?: Kek }> {
  if ('file' in source) {
    const inUse = await keksInUse(source.file, current)
    if (inUse.earlier !== undefined) return inUse
  }
  if (source.previous === undefined) return { kek: current }
  return { kek: current, earlier: await loadKek(source.previous, { create: false, directory }) }
}
