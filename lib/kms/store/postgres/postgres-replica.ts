import type { Closable } from '../../../interface/lifecycle.ts'
import type { Logger } from '../../../interface/logger.ts'
import type { OwnerElection } from '../../../interface/owner-election.ts'
import { debugLogger } from '../../../util/debug-logger.ts'
import { Opened } from '../../../util/opened.ts'
import type { StorePlace } from '../open-store.ts'
import type { SlotFile } from '../slot-file.ts'
import { connectStore, type StoreConnection } from './connect-store.ts'
import { openHostDirectory } from './host-directory.ts'
import { migrate } from './migrate.ts'
import { type OwnedStore, openOwnedStore } from './owned-store.ts'
import { PostgresElection } from './postgres-election.ts'
import { StandbyWatch } from './standby-watch.ts'
import { joinStore, type Membership } from './store-membership.ts'

/** How long the start may take at each step, at least, in milliseconds: a fellow may be changing the schema. */
const START_MS = 10_000

/** A replica's part in the store that its site shares. */
export interface PostgresReplicaPlace extends StorePlace {
  readonly siteId: string
  /** URL of the database, of one server or several; see `postgresServers`. */
  readonly url: string
  readonly password?: string
  /** Name of this replica among those of its site. */
  readonly replicaId: string
  /** Where fellows send what they are asked, as host:port. */
  readonly address: string
  /** How long an owner that says nothing keeps the site, in milliseconds. */
  readonly leaseMs: number
  /** How long what was erased may still open by a copy of the database, in milliseconds. */
  readonly shredMs: number
  /** Told every 10 s whether the standbys have what the database commits; never where there is none, as is a choice. */
  readonly onSynchronous?: (isSynchronous: boolean) => void
  readonly logger?: Logger
}

/** One of several KMS processes of a site that share its pools in PostgreSQL. */
export class PostgresReplica implements Closable {
  readonly #place: PostgresReplicaPlace
  readonly #opened: Opened
  readonly #membership: Membership
  readonly #election: PostgresElection
  readonly #logger: Logger
  /** What this replica keeps on its own host. */
  readonly slots: SlotFile
  #closing: Promise<void> | undefined

  private constructor(
    place: PostgresReplicaPlace,
    parts: { opened: Opened; membership: Membership; slots: SlotFile; logger: Logger },
  ) {
    this.#place = place
    this.#opened = parts.opened
    this.#membership = parts.membership
    this.#logger = parts.logger
    this.slots = parts.slots
    const { siteId, replicaId, address, leaseMs, onSynchronous } = place
    if (onSynchronous !== undefined)
      parts.opened.add(new StandbyWatch({ connect: () => this.#connect('standbys'), onSynchronous }))
    this.#election = parts.opened.add(
      new PostgresElection({
        siteId,
        replicaId,
        address,
        leaseMs,
        connect: () => this.#connect('election'),
        onKeyEpoch: (epoch, client) => parts.membership.hostKey.follow(client, { siteId, epoch }),
        logger: parts.logger,
      }),
    )
  }

  /**
   * Opens the replica's directory, checks the database, brings its schema up to date, and begins to take part in the
   * election.
   * @throws {StoreError} the database does not answer, would lose what it has answered for, or has a newer schema; or this host has no keys for the store
   */
  static async open(place: PostgresReplicaPlace): Promise<PostgresReplica> {
    const { logger = debugLogger('kms') } = place
    const opened = new Opened('store')
    try {
      const directory = opened.add(await openHostDirectory(place))
      const timeoutMs = Math.max(place.leaseMs, START_MS)
      const { client } = await connectStore({ ...place, timeoutMs }, `qkd ${place.siteId} start`)
      try {
        await migrate(client)
        const membership = await joinStore(client, place.siteId, directory.slots)
        const close = async () => membership.hostKey.wipe()
        opened.add({ close, [Symbol.asyncDispose]: close })
        return new PostgresReplica(place, { opened, membership, slots: directory.slots, logger })
      } finally {
        await client[Symbol.asyncDispose]()
      }
    } catch (error) {
      await opened.close().catch(() => {})
      throw error
    }
  }

  get election(): OwnerElection {
    return this.#election
  }

  /** The store, for the owner in that epoch; to be closed before the replica is. */
  openOwned(epoch: number): Promise<OwnedStore> {
    const { siteId, shredMs } = this.#place
    return openOwnedStore({
      siteId,
      epoch,
      election: this.#election,
      membership: this.#membership,
      connect: () => this.#connect('store'),
      shredMs,
      logger: this.#logger,
    })
  }

  /** This replica cannot go on with what it opened in that epoch: somebody owns the site anew. */
  giveUp(epoch: number): void {
    this.#election.giveUp(epoch)
  }

  /** This replica cannot open what it owns in that epoch: a fellow may go first. */
  stepAside(epoch: number): void {
    this.#election.stepAside(epoch)
  }

  close(): Promise<void> {
    this.#closing ??= this.#opened.close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #connect(part: string): Promise<StoreConnection> {
    const { siteId, leaseMs } = this.#place
    return connectStore({ ...this.#place, timeoutMs: leaseMs }, `qkd ${siteId} ${part}`)
  }
}
