import { StoreError } from '../../../errors.ts'
import type { Closable } from '../../../interface/lifecycle.ts'
import type { Logger } from '../../../interface/logger.ts'
import type { StoreConnection } from './connect-store.ts'
import type { PostgresElection } from './postgres-election.ts'
import { PostgresSlots } from './postgres-slots.ts'
import { PostgresPoolStore } from './postgres-store.ts'
import type { ServerIdentity } from './server-check.ts'
import { SiteWriter } from './site-writer.ts'
import type { Membership } from './store-membership.ts'

/** What the owner of a site opens its store with. */
export interface OwnedStoreOptions {
  readonly siteId: string
  readonly epoch: number
  readonly election: PostgresElection
  readonly membership: Membership
  readonly connect: () => Promise<StoreConnection>
  readonly shredMs: number
  readonly logger: Logger
}

/** The store of a site, open for its owner. */
export interface OwnedStore extends Closable {
  readonly store: PostgresPoolStore
  readonly slots: PostgresSlots
}

/**
 * Opens the store under the epoch in which this replica owns the site. Where another server answers than the one that
 * was written last, or the database is older than this host's keys, every pool is marked as rolled back first (R4).
 * @throws {StoreError} another one owns the site by now, or the database does not answer
 */
export async function openOwnedStore(options: OwnedStoreOptions): Promise<OwnedStore> {
  const { siteId, epoch, election, membership, shredMs, logger } = options
  const server = election.server
  const isOwner = () => {
    const now = election.current()
    return now.role === 'owner' && now.epoch === epoch
  }
  if (server === undefined || !isOwner()) throw new StoreError('This replica owns the pools of its site no more')
  const connect = async () => {
    const connection = await options.connect()
    if (isSameServer(connection.server, server)) return connection
    await connection.client[Symbol.asyncDispose]()
    election.giveUp(epoch)
    throw new StoreError('Another server answers for the database')
  }
  const row = await readSite(connect, siteId)
  if (Number(row.epoch) !== epoch) throw new StoreError('This replica owns the pools of its site no more')
  // Raised under an earlier owner, so before the write that made this one the owner, which the standby has by its answer.
  await membership.hostKey.advanceTo(Number(row.key_epoch))
  const writer = new SiteWriter({
    siteId,
    epoch,
    batch: Number(row.batch),
    connect,
    mayWrite: isOwner,
    onFenced: () => election.giveUp(epoch),
  })
  const store = new PostgresPoolStore({ siteId, writer, mac: membership.mac })
  const slots = new PostgresSlots({ siteId, writer, hostKey: membership.hostKey, shredMs, logger })
  const close = async () => {
    await slots.close()
    await store.close()
  }
  try {
    const change = changeOf(row, { server, hostEpoch: membership.hostKey.epoch })
    if (change !== undefined) {
      logger.warn({ siteId, reason: change }, 'The pools count as rolled back until the other sites have been met')
      await markRolledBack(store)
    }
    // Behind the marks: a crash in between finds the change again.
    await writer.query(
      `update qkd_site set system_identifier = $3, timeline = $4, key_epoch = greatest(key_epoch, $5)
       where site_id = $1 and epoch = $2`,
      [siteId, epoch, server.systemIdentifier, server.timeline, membership.hostKey.epoch],
    )
    return { store, slots, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

async function readSite(connect: () => Promise<StoreConnection>, siteId: string) {
  const { client } = await connect()
  try {
    const [row] = await client.query('select * from qkd_site where site_id = $1', [siteId])
    if (row === undefined) throw new StoreError('The row of this site is gone from the database')
    return row
  } finally {
    await client[Symbol.asyncDispose]()
  }
}

/** Why the database may have forgotten what it answered for; undefined where it may not. */
function changeOf(
  row: Record<string, unknown>,
  { server, hostEpoch }: { server: ServerIdentity; hostEpoch: number },
): string | undefined {
  if (Number(row.key_epoch) < hostEpoch) return 'the database is older than the keys of this host'
  if (row.system_identifier === null) return undefined
  if (row.system_identifier !== server.systemIdentifier) return 'the database is another cluster'
  if (Number(row.timeline) !== server.timeline) return 'another server has taken over the database'
  return undefined
}

function isSameServer(a: ServerIdentity, b: ServerIdentity): boolean {
  return a.systemIdentifier === b.systemIdentifier && a.timeline === b.timeline
}

async function markRolledBack(store: PostgresPoolStore): Promise<void> {
  for (const poolId of await store.poolIds()) {
    const { pool } = await store.snapshot(poolId)
    if (pool.rolledBack) continue
    await store.commit(poolId, [{ kind: 'pool', poolEpoch: pool.poolEpoch, patch: { rolledBack: true } }])
  }
}
