import { StoreError } from '../../../errors.ts'
import type { Closable } from '../../../interface/lifecycle.ts'
import { Opened } from '../../../util/opened.ts'
import type { StorePlace } from '../open-store.ts'
import { connectStore, type PostgresPlace } from './connect-store.ts'
import { openHostDirectory } from './host-directory.ts'
import { requireKnownSchema } from './migrate.ts'
import { PostgresSlots } from './postgres-slots.ts'
import { PostgresPoolStore } from './postgres-store.ts'
import { SiteWriter } from './site-writer.ts'
import { joinStore } from './store-membership.ts'

/** How long a connection may take to open and a statement to be answered, in milliseconds. */
const TIMEOUT_MS = 10_000
/** Of an owner that never was: whatever would be written is refused. */
const NO_EPOCH = -1
const NEVER_MS = 2 ** 31 - 1

/** How the replicas of a site stand, as their database has it. */
export interface ReplicaReport {
  /** Who owns the pools; undefined where nobody ever did. */
  readonly owner: { readonly id: string; readonly address: string; readonly renewedAt: string } | undefined
  /** Grows with each owner. */
  readonly epoch: number
  /** Number of the key under which the wrapped keys in the database lie, and of the one that this host has. */
  readonly keyEpoch: number
  readonly hostKeyEpoch: number
  /** Of the server that was written last. */
  readonly systemIdentifier: string | undefined
  readonly timeline: number | undefined
}

/** A store in PostgreSQL, open to be looked at. */
export interface ReadPostgres extends Closable {
  readonly store: PostgresPoolStore
  readonly slots: PostgresSlots
  readonly kekName: string
  readonly replicas: ReplicaReport
}

/**
 * Opens the store of a site to look at it, on the host of one of its replicas, which must be stopped; its fellows may run.
 * Writes nothing of the pools.
 * @throws {StoreError} the database does not answer, this host has no keys for it, or a replica has its directory
 */
export async function openPostgresToRead(
  place: StorePlace & Omit<PostgresPlace, 'timeoutMs'> & { readonly siteId: string },
): Promise<ReadPostgres> {
  const { siteId } = place
  const opened = new Opened('store')
  try {
    const { slots: file } = opened.add(await openHostDirectory(place))
    const connect = () => connectStore({ ...place, timeoutMs: TIMEOUT_MS }, `qkd ${siteId} look`)
    const { client } = await connect()
    try {
      const [known] = await client.query(`select to_regclass('qkd_site') is not null as known`)
      if (known?.known === true) await requireKnownSchema(client)
      const [row] =
        known?.known === true ? await client.query('select * from qkd_site where site_id = $1', [siteId]) : []
      if (row === undefined) throw new StoreError(`The database has no store of site ${siteId}`)
      const { mac, hostKey } = await joinStore(client, siteId, file)
      opened.add(closing(async () => hostKey.wipe()))
      const key = hostKey.inMemory()
      opened.add(closing(async () => key.wipe()))
      const replicas: ReplicaReport = {
        owner:
          row.owner_id === null
            ? undefined
            : {
                id: String(row.owner_id),
                address: String(row.owner_address),
                renewedAt: (row.renewed_at as Date).toISOString(),
              },
        epoch: Number(row.epoch),
        keyEpoch: Number(row.key_epoch),
        hostKeyEpoch: hostKey.epoch,
        systemIdentifier: row.system_identifier === null ? undefined : String(row.system_identifier),
        timeline: row.timeline === null ? undefined : Number(row.timeline),
      }
      await key.advanceTo(replicas.keyEpoch)
      const writer = new SiteWriter({
        siteId,
        epoch: NO_EPOCH,
        batch: Number(row.batch),
        connect,
        mayWrite: () => false,
        onFenced: () => {},
      })
      const store = opened.add(new PostgresPoolStore({ siteId, writer, mac }))
      const slots = opened.add(new PostgresSlots({ siteId, writer, hostKey: key, shredMs: NEVER_MS }))
      return { store, slots, kekName: file.kekName, replicas, ...closing(() => opened.close()) }
    } finally {
      await client[Symbol.asyncDispose]()
    }
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}

function closing(close: () => Promise<void>): Closable {
  return { close, [Symbol.asyncDispose]: close }
}
