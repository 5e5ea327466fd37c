import { hostname } from 'node:os'
import type { SiteConfig } from './config/site-config.ts'
import { type PostgresStoreConfig, readStorePassword } from './config/store-config.ts'
import { ClosedError, KmeUnreachableError, UnauthorizedError } from './errors.ts'
import type { AuditLog } from './interface/audit.ts'
import type { IncidentDesk } from './interface/incident.ts'
import type { Kms, KmsDirectory } from './interface/kms.ts'
import type { AbortOptions } from './interface/lifecycle.ts'
import type { Link } from './interface/link.ts'
import type { Logger } from './interface/logger.ts'
import type { MessageChannel } from './interface/message-channel.ts'
import type { Ownership } from './interface/owner-election.ts'
import type { PolicyFile } from './interface/policy.ts'
import type { Tracer } from './interface/tracer.ts'
import { FencedKms } from './kms/owner/fenced-kms.ts'
import type { OwnedDirectory } from './kms/owner/owned-directory.ts'
import { serveOwner } from './kms/owner/serve-owner.ts'
import type { KeyPoolStatus } from './kms/pool/key-pool.ts'
import { StandingAlarms } from './kms/standing-alarms.ts'
import { PostgresReplica } from './kms/store/postgres/postgres-replica.ts'
import type { SlotFile } from './kms/store/slot-file.ts'
import { openSiteCore, type SiteCore } from './site-core.ts'
import { fellowListener, ownerElsewhere } from './site-fellows.ts'
import { undeliveredTo } from './site-hosts.ts'
import { PartTelemetry, type TelemetryHub } from './telemetry.ts'
import { BackOff } from './util/back-off.ts'
import { abortable, delay, eitherSignal, withDeadline } from './util/deadline.ts'
import { debugLogger } from './util/debug-logger.ts'
import { Opened } from './util/opened.ts'

/** How long a start waits for an owner that serves, and how often it looks, in milliseconds. */
const START_MS = 10_000
const LOOK_MS = 20
/** Tries to open the site, each in an epoch of its own, before a start fails: between two, any fellow could have taken it. */
const START_TRIES = 2
const NOT_OPENED = 'replica-not-opened'

/** A replica of a site, opened in two steps: its keys are needed before the rest. */
export interface SiteReplicaParts {
  readonly telemetry: TelemetryHub
  readonly logger: Logger | undefined
}

/** What this process runs while it owns the pools. */
interface Owned {
  readonly epoch: number
  readonly core: SiteCore
  readonly isOwner: () => boolean
  close(): Promise<void>
  /** Takes back what the core told of itself; once it is closed. */
  withdraw(): void
}

/**
 * One of several processes that are a site together over a database: it elects with its fellows who owns the pools, runs
 * the site's core while that is itself, and otherwise brings what its hosts ask to whoever it is.
 */
export class SiteReplica implements SiteCore {
  readonly #config: SiteConfig
  readonly #parts: SiteReplicaParts
  readonly #logger: Logger
  readonly #replica: PostgresReplica
  readonly #opened: Opened
  readonly #ending = new AbortController()
  readonly #registered: ReadonlySet<string>
  readonly incidents: IncidentDesk
  #afterRestore = false
  #audit: AuditLog | undefined
  #tracer: Tracer | undefined
  #policy: PolicyFile | undefined
  #owned: Owned | undefined
  #forward: OwnedDirectory | undefined
  #settling: Promise<void> = Promise.resolve()
  /** Why this replica could not open what it owned, since it or a fellow served last. */
  #failures: readonly Error[] = []
  readonly #alarms: StandingAlarms
  readonly #backOff = new BackOff({ minMs: 100, maxMs: 2_000 })
  #closing: Promise<void> | undefined

  private constructor(
    config: SiteConfig,
    parts: SiteReplicaParts,
    rooms: { replica: PostgresReplica; opened: Opened },
  ) {
    this.#config = config
    this.#parts = parts
    this.#logger = parts.logger ?? debugLogger('kms')
    this.#replica = rooms.replica
    this.#opened = rooms.opened
    this.#alarms = new StandingAlarms({ telemetry: parts.telemetry, scope: rooms.replica.election.replicaId })
    this.#policy = config.policy
    this.#registered = new Set(config.saes.map(({ saeId }) => saeId))
    this.incidents = ownersDesk(() => this.#requireOwned().core.incidents)
  }

  /**
   * Checks the database and begins to take part in the election; nothing of the site runs before `start`.
   * @throws {StoreError} the database does not answer, or would lose what it has answered for
   */
  static async open(config: SiteConfig, store: PostgresStoreConfig, parts: SiteReplicaParts): Promise<SiteReplica> {
    const opened = new Opened('replica')
    try {
      let site: SiteReplica | undefined
      const onChannel = (channel: MessageChannel) => void (site?.serve(channel) ?? channel.close()).catch(() => {})
      const fellows = store.replica && opened.add(fellowListener(config, store.replica, onChannel))
      const address = await fellows?.listen()
      const password = await readStorePassword(store)
      const replica = opened.add(
        await PostgresReplica.open({
          ...store,
          siteId: config.siteId,
          ...(password === undefined ? {} : { password }),
          replicaId: store.replica?.id ?? hostname(),
          address: address === undefined ? '' : `${store.replica!.host}:${address.port}`,
          shredMs: config.pool.shredMs,
          onSynchronous: is => parts.telemetry.gauge('store_synchronous', {}, Number(is)),
          ...(parts.logger === undefined ? {} : { logger: parts.logger }),
        }),
      )
      site = new SiteReplica(config, parts, { replica, opened })
      return site
    } catch (error) {
      await opened.close().catch(() => {})
      throw error
    }
  }

  /** What this replica keeps on its own host. */
  get slots(): SlotFile {
    return this.#replica.slots
  }

  /**
   * Follows the election from now on. Resolves when this replica runs the site or knows who does, or cannot know for now.
   * @throws what opening the site threw, where no fellow took it after that
   */
  async start({
    audit,
    afterRestore,
    tracer,
    signal,
  }: AbortOptions & {
    audit: AuditLog | undefined
    afterRestore?: boolean | undefined
    tracer?: Tracer | undefined
  }): Promise<SiteCore> {
    this.#audit = audit
    this.#tracer = tracer
    this.#afterRestore = afterRestore === true
    const { election } = this.#replica
    election.subscribe(ownership => {
      this.#tell(ownership)
      this.#settle()
    })
    if (election.current().role !== 'none') this.#tell(election.current())
    const waited = withDeadline(eitherSignal(this.#ending.signal, signal), START_MS)
    const isServed = () => this.#owned !== undefined || election.current().role === 'follower'
    this.#settle()
    do {
      await abortable(this.#settling, { signal })
      if (isServed() || this.#failures.length >= START_TRIES) break
      await delay(LOOK_MS, { signal: waited }).catch(() => {})
    } while (!waited.aborted)
    signal?.throwIfAborted()
    const failure = this.#failures.at(-1)
    if (failure !== undefined && !isServed()) throw failure
    return this
  }

  kmsFor(saeId: string): Kms {
    if (this.#closing !== undefined) throw new ClosedError('The KMS is closed')
    if (!this.#registered.has(saeId))
      throw new UnauthorizedError(`SAE ${saeId} is not registered at ${this.#config.kmeId}`)
    if (this.#owned !== undefined) return new FencedKms(this.#owned.core.kmsFor(saeId), this.#owned.isOwner)
    if (this.#forward !== undefined) return this.#forward.kmsFor(saeId)
    throw nobody()
  }

  status(): readonly KeyPoolStatus[] {
    return this.#owned?.core.status() ?? []
  }

  setPolicy(policy: PolicyFile): void {
    this.#policy = policy
    this.#owned?.core.setPolicy(policy)
  }

  refreshSecrets(): void {
    this.#requireOwned().core.refreshSecrets()
  }

  ownership(): Ownership {
    return this.#replica.election.current()
  }

  get links(): readonly Link[] {
    return this.#owned?.core.links ?? []
  }

  get address(): SiteCore['address'] {
    const { peerListen } = this.#config
    return this.#owned?.core.address ?? { peer: peerListen, links: {}, node: undefined, border: undefined }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#ending.abort()
    await this.#settling
    await this.#forward?.close()
    // The election goes on until the core has written its last.
    await (this.#owned?.close() ?? Promise.resolve()).finally(() => this.#opened.close())
  }

  #tell(now: Ownership): void {
    const { role } = now
    const ownerId = role === 'follower' ? { ownerId: now.ownerId } : {}
    this.#parts.telemetry.emit({ type: 'replica', role, ...(role === 'none' ? {} : { epoch: now.epoch }), ...ownerId })
  }

  /** One step after the other: what an owner opened is closed before anything else begins. */
  #settle(): void {
    this.#settling = this.#settling
      .then(() => this.#follow())
      .catch(error => this.#logger.error({ err: String(error) }, 'This replica could not follow the election'))
  }

  async #follow(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const now = this.#replica.election.current()
      if (this.#owned !== undefined && (now.role !== 'owner' || now.epoch !== this.#owned.epoch)) {
        const owned = this.#owned
        this.#owned = undefined
        await owned.close().catch(error => this.#logger.warn({ err: String(error) }, 'The core did not close cleanly'))
        owned.withdraw()
        continue
      }
      if (now.role === 'follower') this.#failures = []
      if (now.role !== 'owner') return await this.#forwardTo(now.role === 'follower' ? now.address : '')
      if (this.#owned !== undefined) return
      await this.#forwardTo('')
      try {
        this.#owned = await this.#open(now.epoch)
        this.#backOff.reset()
        this.#failures = []
        this.#alarms.clear(NOT_OPENED)
        return
      } catch (error) {
        this.#fail(error as Error, now.epoch)
        await delay(this.#backOff.nextMs(), { signal: this.#ending.signal }).catch(() => {})
      }
    }
  }

  /** Leaves the site to a fellow that can open it. Who lost it while it opened has nothing to leave, or to complain of. */
  #fail(error: Error, epoch: number): void {
    const now = this.#replica.election.current()
    const isOwner = now.role === 'owner' && now.epoch === epoch
    this.#replica.stepAside(epoch)
    const reason = error.message
    this.#logger.error({ reason }, 'The owner of the pools could not open its site')
    if (!isOwner) return
    this.#failures = [...this.#failures, error].slice(-START_TRIES)
    const text = `This replica could not open the site when it owned the pools: ${reason}`
    this.#alarms.raise(NOT_OPENED, { severity: 'major', text })
  }

  async #open(epoch: number): Promise<Owned> {
    const { logger } = this.#parts
    const telemetry = new PartTelemetry(this.#parts.telemetry)
    const withdraw = () => telemetry.withdraw('This replica owns the pools no more')
    const { store, slots, close } = await this.#replica.openOwned(epoch)
    try {
      const config = { ...this.#config, ...(this.#policy === undefined ? {} : { policy: this.#policy }) }
      const afterRestore = this.#afterRestore
      const parts = { audit: this.#audit, tracer: this.#tracer, telemetry, logger }
      const core = await openSiteCore(config, { store, slots, afterRestore, ...parts })
      // Noted in the store by now.
      this.#afterRestore = false
      const isOwner = () => {
        const now = this.#replica.election.current()
        return now.role === 'owner' && now.epoch === epoch
      }
      return { epoch, core, isOwner, close: () => core.close().finally(close), withdraw }
    } catch (error) {
      withdraw()
      await close()
      throw error
    }
  }

  async #forwardTo(address: string): Promise<void> {
    const before = this.#forward
    this.#forward = undefined
    await before?.close()
    if (address === '') return
    this.#forward = ownerElsewhere(this.#config, address, this.#logger)
  }

  #requireOwned(): Owned {
    if (this.#owned === undefined) throw nobody()
    return this.#owned
  }

  /** Answers a fellow, with the keys of the core that runs here: never by asking another one. */
  async serve(channel: MessageChannel): Promise<void> {
    const { siteId, kmeId } = this.#config
    const directory: KmsDirectory = {
      kmsFor: saeId => {
        const { core, isOwner } = this.#requireOwned()
        return new FencedKms(core.kmsFor(saeId), isOwner)
      },
    }
    const onUndelivered = undeliveredTo(this.#config, this.#parts.telemetry)
    await serveOwner(directory, channel, { siteId, peerIds: [kmeId], onUndelivered, signal: this.#ending.signal })
  }
}

function nobody(): KmeUnreachableError {
  return new KmeUnreachableError('No replica of this site that is known here owns its pools now', {
    details: [{ sent: false }],
    retryAfterMs: 1_000,
  })
}

/** The desk of whichever core runs now. */
function ownersDesk(desk: () => IncidentDesk): IncidentDesk {
  return {
    open: async (incident, options) => await desk().open(incident, options),
    invalidate: async (id, options) => await desk().invalidate(id, options),
    release: async (id, options) => await desk().release(id, options),
    list: () => desk().list(),
  }
}
