import { join } from 'node:path'
import type { OwnedStore } from '../../lib/kms/store/postgres/owned-store.ts'
import { PostgresReplica, type PostgresReplicaPlace } from '../../lib/kms/store/postgres/postgres-replica.ts'
import { until } from './until.ts'

/** A replica with defaults for tests; `directory` is what its host has. */
export function openReplica(
  url: string,
  directory: string,
  fields: Partial<PostgresReplicaPlace> = {},
): Promise<PostgresReplica> {
  return PostgresReplica.open({
    siteId: 'site-a',
    url,
    path: join(directory, 'store'),
    kek: { file: join(directory, 'kek') },
    replicaId: 'replica-1',
    address: '127.0.0.1:1',
    leaseMs: 2_000,
    shredMs: 60_000,
    ...fields,
  })
}

/** The epoch in which a replica owns its site, as soon as it does. */
export async function ownEpoch({ election }: PostgresReplica): Promise<number> {
  await until(() => election.current().role === 'owner', 'the replica owns its site', { timeoutMs: 20_000 })
  const now = election.current()
  return now.role === 'owner' ? now.epoch : -1
}

/** The store of a replica that owns its site. */
export async function openOwned(replica: PostgresReplica): Promise<OwnedStore> {
  return await replica.openOwned(await ownEpoch(replica))
}

/** The store of a replica that owns its site, opened again by the next owner as often as a test wants. */
export class PostgresPools implements AsyncDisposable {
  store!: OwnedStore['store']
  #owned!: OwnedStore
  #replica!: PostgresReplica
  readonly #url: string
  readonly #directory: string

  constructor(url: string, directory: string) {
    this.#url = url
    this.#directory = directory
  }

  async start(): Promise<this> {
    this.#replica = await openReplica(this.#url, this.#directory)
    this.#owned = await openOwned(this.#replica)
    this.store = this.#owned.store
    return this
  }

  /** Another owner's, under the next epoch, over the same rows. */
  reopen = async () => {
    await this[Symbol.asyncDispose]()
    return (await this.start()).store
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.close()
    await this.#replica.close()
  }
}
