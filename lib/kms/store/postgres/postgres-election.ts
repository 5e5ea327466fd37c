import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../../../errors.ts'
import type { Unsubscribe } from '../../../interface/lifecycle.ts'
import type { Logger } from '../../../interface/logger.ts'
import type { OwnerElection, Ownership } from '../../../interface/owner-election.ts'
import { BackOff } from '../../../util/back-off.ts'
import { Listeners } from '../../../util/listeners.ts'
import type { PostgresClient, PostgresRow } from '../../../util/postgres-client.ts'
import type { StoreConnection } from './connect-store.ts'
import { isKnownDead, markThisProcess } from './process-mark.ts'
import type { ServerIdentity } from './server-check.ts'

/** Of a lease: how often the owner renews it, how often others look, and how much later than it ends they may take over. */
const RENEW_PART = 1 / 4
const LOOK_PART = 1 / 8
const GRACE_PART = 1 / 8
const MAX_LOOK_MS = 500

/** How a replica takes part. */
export interface PostgresElectionOptions {
  readonly siteId: string
  readonly replicaId: string
  /** Where fellows send what they are asked, as host:port. */
  readonly address: string
  /** How long an owner that says nothing keeps the site, in milliseconds. */
  readonly leaseMs: number
  /** A connection whose server has passed its checks, with the schema in place. */
  readonly connect: () => Promise<StoreConnection>
  /** Called with the epoch of the keys in the database, and who told, whenever somebody else may have raised it. */
  readonly onKeyEpoch: (epoch: number, client: PostgresClient) => Promise<void>
  readonly logger: Logger
}

/** What is seen of the owner while it is watched. */
interface Seen {
  readonly epoch: number
  readonly renewals: number
  /** When it was seen first, by this process's clock. */
  readonly sinceMs: number
}

/** A lease of this replica. */
interface Held {
  readonly epoch: number
  readonly server: ServerIdentity
  untilMs: number
  untilWallMs: number
}

/**
 * Elects by a row of the database that all replicas of a site share. No clock but each replica's own counts, and of that
 * only the rate: the owner's lease ends so long after it *sent* the last renewal, and a fellow takes over only when it has
 * seen no renewal for longer. The row's epoch is what the store fences by, whatever clocks do.
 */
export class PostgresElection implements OwnerElection {
  readonly replicaId: string
  readonly #options: PostgresElectionOptions
  readonly #listeners = new Listeners<Ownership>()
  readonly #ending = new AbortController()
  #pause = new AbortController()
  #held: Held | undefined
  #told: Ownership = { role: 'none' }
  #other: Extract<Ownership, { role: 'follower' }> | undefined
  #seen: Seen | undefined
  #expiry: NodeJS.Timeout | undefined
  /** The epoch that this replica has let go of, until the database knows. */
  #left: number | undefined
  /** Until when a fellow goes first, by this process's clock. */
  #asideUntilMs = 0
  readonly #mark = markThisProcess()
  readonly #running: Promise<void>

  constructor(options: PostgresElectionOptions) {
    this.#options = options
    this.replicaId = options.replicaId
    this.#running = this.#run()
  }

  current(): Ownership {
    const held = this.#held
    // Both clocks: one may stand still while the machine sleeps, the other may be set back.
    if (held !== undefined && performance.now() < held.untilMs && Date.now() < held.untilWallMs)
      return { role: 'owner', epoch: held.epoch, untilMs: held.untilMs }
    return held === undefined && this.#other !== undefined ? this.#other : { role: 'none' }
  }

  /** The server by which this replica became the owner. */
  get server(): ServerIdentity | undefined {
    return this.#held?.server
  }

  subscribe(listener: (ownership: Ownership) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  /** The site is another's by now, or what this replica has opened cannot go on: it begins anew, under another epoch. */
  giveUp(epoch: number): void {
    if (this.#held?.epoch !== epoch) return
    this.#held = undefined
    this.#tell()
    this.#pause.abort()
  }

  /**
   * This replica cannot open what it owns: it gives the site away at once, and for one lease leaves it to any fellow. Where
   * there is none, it takes the site again after that.
   */
  stepAside(epoch: number): void {
    if (this.#held?.epoch !== epoch) return
    this.#left = epoch
    this.#asideUntilMs = performance.now() + this.#options.leaseMs
    this.giveUp(epoch)
  }

  /** Gives the site away at once, so that a fellow need not wait for the lease to end. */
  async close(): Promise<void> {
    this.#ending.abort()
    this.#pause.abort()
    await this.#running
    clearTimeout(this.#expiry)
    this.#listeners.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run(): Promise<void> {
    const backOff = new BackOff({ minMs: 50, maxMs: this.#options.leaseMs * RENEW_PART })
    let lastReason = ''
    while (!this.#ending.signal.aborted) {
      try {
        const connection = await this.#options.connect()
        try {
          backOff.reset()
          lastReason = ''
          await this.#takePart(connection)
        } finally {
          if (this.#ending.signal.aborted) await this.#release(connection.client).catch(() => {})
          await connection.client[Symbol.asyncDispose]()
        }
      } catch (error) {
        const reason = (error as Error).message
        // The same is said once: a database may be away for long.
        if (reason !== lastReason)
          this.#options.logger.warn({ reason }, 'This replica cannot elect an owner of its site')
        lastReason = reason
        this.#other = undefined
        this.#seen = undefined
        this.#tell()
      }
      await this.#wait(backOff.nextMs())
    }
  }

  async #takePart({ client, server }: StoreConnection): Promise<void> {
    const { siteId, leaseMs } = this.#options
    const mark = await this.#mark
    await client.write('insert into qkd_site (site_id) values ($1) on conflict do nothing', [siteId])
    if (this.#held !== undefined && !isSame(this.#held.server, server)) {
      this.#options.logger.warn({ ...server }, 'Another server answers for the database')
      this.giveUp(this.#held.epoch)
    }
    while (!this.#ending.signal.aborted) {
      if (this.current().role === 'owner') await this.#renew(client)
      else await this.#look(client, { server, mark })
      this.#tell()
      await this.#wait(this.#held === undefined ? Math.min(leaseMs * LOOK_PART, MAX_LOOK_MS) : leaseMs * RENEW_PART)
    }
  }

  async #renew(client: PostgresClient): Promise<void> {
    const held = this.#held!
    const now = clocks()
    const rows = await client.write(
      `update qkd_site set renewals = renewals + 1, renewed_at = clock_timestamp(), released = false
       where site_id = $1 and epoch = $2 returning epoch`,
      [this.#options.siteId, held.epoch],
    )
    // One that comes too late revives nothing: what was open under this epoch is closing, and may have a batch under way
    // whose number the next one would take.
    if (rows.length === 0 || this.current().role !== 'owner') this.giveUp(held.epoch)
    else this.#hold(held, now)
  }

  async #look(client: PostgresClient, { server, mark }: { server: ServerIdentity; mark: string }): Promise<void> {
    // One whose time is over while nobody took its place begins under a new epoch: what it had opened is gone.
    this.#held = undefined
    if (this.#left !== undefined) await this.#release(client)
    const [row] = await client.query('select * from qkd_site where site_id = $1', [this.#options.siteId])
    if (row === undefined) throw new StoreError('The row of this site is gone from the database')
    await this.#options.onKeyEpoch(Number(row.key_epoch), client)
    if (await this.#mayTake(row, mark)) await this.#take(client, { row, server, mark })
    else if (row.owner_process === mark || row.released === true) this.#other = undefined
    else if (row.owner_id !== null) {
      const ownerId = String(row.owner_id)
      this.#other = { role: 'follower', epoch: Number(row.epoch), ownerId, address: String(row.owner_address) }
    }
  }

  async #mayTake(row: PostgresRow, mark: string): Promise<boolean> {
    // Whoever has stepped aside would be the first to see that the site is free.
    const isAside = performance.now() < this.#asideUntilMs
    if (!isAside && (row.released === true || row.owner_process === mark)) return true
    const [epoch, renewals] = [Number(row.epoch), Number(row.renewals)]
    if (this.#seen?.epoch !== epoch || this.#seen.renewals !== renewals)
      this.#seen = { epoch, renewals, sinceMs: performance.now() }
    const { leaseMs } = this.#options
    if (performance.now() - this.#seen.sinceMs > leaseMs * (1 + GRACE_PART)) return true
    return await isKnownDead(String(row.owner_process))
  }

  async #take(
    client: PostgresClient,
    { row, server, mark }: { row: PostgresRow; server: ServerIdentity; mark: string },
  ): Promise<void> {
    const { siteId, replicaId, address, logger } = this.#options
    const now = clocks()
    const [taken] = await client.write(
      `update qkd_site set epoch = epoch + 1, owner_id = $4, owner_process = $5, owner_address = $6,
         renewals = renewals + 1, renewed_at = clock_timestamp(), released = false
       where site_id = $1 and epoch = $2 and renewals = $3 returning epoch`,
      [siteId, row.epoch, row.renewals, replicaId, mark, address],
    )
    // Somebody was faster, or the owner lives.
    if (taken === undefined) return
    this.#other = undefined
    this.#seen = undefined
    const epoch = Number(taken.epoch)
    this.#hold({ epoch, server, untilMs: 0, untilWallMs: 0 }, now)
    logger.info({ siteId, replicaId, epoch }, 'This replica owns the pools of its site')
  }

  #hold(held: Held, sentAt: { ms: number; wallMs: number }): void {
    const { leaseMs } = this.#options
    held.untilMs = sentAt.ms + leaseMs
    held.untilWallMs = sentAt.wallMs + leaseMs
    this.#held = held
    clearTimeout(this.#expiry)
    this.#expiry = setTimeout(() => this.#tell(), held.untilMs - performance.now() + 1)
    this.#expiry.unref()
  }

  async #release(client: PostgresClient): Promise<void> {
    const epoch = this.#held?.epoch ?? this.#left
    this.#held = undefined
    if (epoch === undefined) return
    await client.write('update qkd_site set released = true where site_id = $1 and epoch = $2', [
      this.#options.siteId,
      epoch,
    ])
    this.#left = undefined
  }

  #tell(): void {
    const now = this.current()
    if (isSameOwnership(now, this.#told)) return
    this.#told = now
    this.#listeners.emit(now)
  }

  async #wait(ms: number): Promise<void> {
    if (this.#ending.signal.aborted) return
    this.#pause = new AbortController()
    await sleep(ms, undefined, { signal: this.#pause.signal }).catch(() => {})
  }
}

function clocks(): { ms: number; wallMs: number } {
  return { ms: performance.now(), wallMs: Date.now() }
}

function isSame(a: ServerIdentity, b: ServerIdentity): boolean {
  return a.systemIdentifier === b.systemIdentifier && a.timeline === b.timeline
}

function isSameOwnership(a: Ownership, b: Ownership): boolean {
  const { untilMs: _, ...left } = a as Extract<Ownership, { role: 'owner' }>
  const { untilMs: __, ...right } = b as Extract<Ownership, { role: 'owner' }>
  return JSON.stringify(left) === JSON.stringify(right)
}
