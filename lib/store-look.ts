import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { SiteConfig } from './config/site-config.ts'
import { type PostgresStoreConfig, readStorePassword } from './config/store-config.ts'
import { ConfigError, StoreError } from './errors.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { PoolStore, SlotStore } from './interface/pool-store.ts'
import { openStore, type StorePlace } from './kms/store/open-store.ts'
import { openHostDirectory } from './kms/store/postgres/host-directory.ts'
import { openPostgresToRead, type ReplicaReport } from './kms/store/postgres/read-postgres.ts'
import type { RekeyReport } from './kms/store/slot-file.ts'

/** A store of any kind that keeps something on disk, open to be looked at. */
export interface StoreLook extends Closable {
  readonly store: PoolStore
  readonly slots: SlotStore
  /** Name of the key encryption key in use, in hex. */
  readonly kekName: string
  /** How its replicas stand; undefined where one process has the store. */
  readonly replicas: ReplicaReport | undefined
}

/** Where a store is that keeps something on disk. */
type KeptPlace = StorePlace & { readonly kind: 'lmdb' | 'postgresql' }

/**
 * Opens the store that a configuration names, to look at it; the process that has it must be stopped.
 * @throws {ConfigError} it keeps nothing on disk
 * @throws {StoreError} it cannot be opened, or there is none
 */
export async function lookAtStore({ siteId, store }: Pick<SiteConfig, 'siteId' | 'store'>): Promise<StoreLook> {
  if (store.kind === 'memory') throw new ConfigError('/store: kind "memory" keeps nothing on disk')
  requireStore(store)
  if (store.kind === 'postgresql') return await openPostgresToRead(await postgresPlace(siteId, store))
  const open = await openStore(store)
  const close = async () => {
    await open.slots.close()
    await open.store.close()
  }
  const { slots } = open
  return { store: open.store, slots, kekName: slots.kekName, replicas: undefined, close, [Symbol.asyncDispose]: close }
}

/**
 * Changes the key encryption key of a stopped store, or of a stopped replica's host, to the one that lies beside it.
 * @throws {StoreError} a process has it, or there is none
 */
export async function rekeyStore(place: KeptPlace): Promise<RekeyReport | undefined> {
  requireStore(place)
  if (place.kind === 'postgresql') {
    await using host = await openHostDirectory(place)
    return host.rekeyed
  }
  const { store, slots, rekeyed } = await openStore(place)
  await slots.close()
  await store.close()
  return rekeyed
}

/**
 * Whoever looks at a store that is not there has named another directory: none is made, which would be found to be in order.
 * @throws {StoreError} no store, or no replica's part of one, has been in that directory
 */
export function requireStore({ kind, path }: KeptPlace): void {
  if (!existsSync(join(path, kind === 'lmdb' ? 'pools.mdb' : 'slots.bin')))
    throw new StoreError(`There is no store in ${path}: look at "path" in the configuration`)
}

async function postgresPlace(siteId: string, store: PostgresStoreConfig) {
  const password = await readStorePassword(store)
  return { ...store, siteId, ...(password === undefined ? {} : { password }) }
}
