import { PostgresNode, postgresPrograms } from '../../test/helpers/postgres.ts'
import { openOwned, openReplica } from '../../test/helpers/postgres-pools.ts'
import type { OpenKeep } from './stocked-pools.ts'

/** A server whose commits are on the disk before they are answered, for the keeps of a run. */
export interface PostgresKeeps extends AsyncDisposable {
  readonly openKeep: OpenKeep
}

/** Starts a server of its own; undefined where this machine has none. */
export async function startPostgresKeeps(): Promise<PostgresKeeps | undefined> {
  const programs = postgresPrograms()
  if (programs === undefined) return undefined
  const node = await PostgresNode.create(programs)
  await node.start()
  const openKeep: OpenKeep = async directory => {
    // Each directory is another site's.
    const siteId = directory.slice(directory.lastIndexOf('/') + 1)
    const replica = await openReplica(node.url, directory, { siteId, leaseMs: 10_000 })
    const { store, slots, close } = await openOwned(replica)
    return {
      store,
      slots,
      close: async () => {
        await close()
        await replica.close()
      },
    }
  }
  return { openKeep, [Symbol.asyncDispose]: () => node[Symbol.asyncDispose]() }
}
