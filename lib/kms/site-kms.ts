import { ClosedError, UnauthorizedError } from '../errors.ts'
import type { AbroadReceiver } from '../interface/abroad.ts'
import type { AuditLog } from '../interface/audit.ts'
import type { CommitMarks } from '../interface/commit-marks.ts'
import type { IncidentDesk } from '../interface/incident.ts'
import type { Kms, KmsDirectory } from '../interface/kms.ts'
import type { Closable } from '../interface/lifecycle.ts'
import type { Logger } from '../interface/logger.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import type { PolicyFile } from '../interface/policy.ts'
import type { PoolStore, SlotStore } from '../interface/pool-store.ts'
import type { Qnl } from '../interface/qnl.ts'
import type { Telemetry } from '../interface/telemetry.ts'
import type { Tracer } from '../interface/tracer.ts'
import { PAYLOAD_CELLS } from '../key/cells.ts'
import type { SiteIdentity } from '../key/site-identity.ts'
import { debugLogger } from '../util/debug-logger.ts'
import { noTracer } from '../util/no-tracer.ts'
import { PeerDialer } from '../util/peer-dialer.ts'
import { Border } from './abroad/border.ts'
import type { NeighbourDomain } from './abroad/neighbour.ts'
import { DecisionLog } from './audit/decision-log.ts'
import { ProvenanceLog } from './audit/provenance-log.ts'
import { EmbeddedKms } from './embedded-kms.ts'
import { SiteIncidents } from './incident/site-incidents.ts'
import { KeyReceipts } from './key-receipts.ts'
import { Multicast } from './multicast.ts'
import { Admission, type KeyLimits, SHIPPED_POLICY } from './policy/admission.ts'
import { KeyPool, type KeyPoolStatus, type PoolLimits } from './pool/key-pool.ts'
import { LEASE_LIFE_MS } from './pool/lessee.ts'
import { slotsOfNote } from './pool/note-slots.ts'
import type { ShareQuestion } from './pool/shared-key-acceptor.ts'
import type { VirtualTerms } from './pool/virtual-opener.ts'
import { RecentKeys } from './recent-keys.ts'
import { type RegisteredSite, SaeRegistry } from './sae-registry.ts'
import { ShareAdmission } from './share-admission.ts'
import { StandingAlarms } from './standing-alarms.ts'

/** Further slaves that one request may name where the configuration says nothing. */
const MAX_SAE_ID_COUNT = 32

/** Another site, and the way to its KMS where this side dials. */
export interface PeerSite extends RegisteredSite {
  /** Gives a channel whose `peerId` is the peer's KME ID. Left out where the peer dials in. */
  readonly dial?: (signal: AbortSignal) => Promise<MessageChannel>
}

/** What a site's KMS is made from. QNL and stores stay the caller's. */
export interface SiteKmsOptions {
  readonly local: RegisteredSite
  readonly peers: readonly PeerSite[]
  readonly qnl: Qnl
  readonly store: PoolStore
  readonly slots: SlotStore
  /** The store's commit numbers outside of it. Default there are none. */
  readonly marks?: CommitMarks | undefined
  /** True where somebody knows that the store was put back. Default false. */
  readonly afterRestore?: boolean | undefined
  readonly pool: PoolLimits
  readonly keys: KeyLimits
  /** Who may have which keys. Default what `keys` allows, to every host. */
  readonly policy?: PolicyFile
  /** Other domains with which this site shares the border. Default none. */
  readonly neighbours?: readonly NeighbourDomain[]
  /** Where decisions are written before they take effect; stays the caller's. Default nowhere. */
  readonly audit?: AuditLog
  /** What proves this site to others, and by whose authority they are known. Default TLS alone. */
  readonly identity?: SiteIdentity | undefined
  readonly telemetry: Telemetry
  /** Follows requests through the KMS. Default nobody does. */
  readonly tracer?: Tracer | undefined
  readonly logger?: Logger
  readonly now?: () => number
  readonly monotonicMs?: () => number
}

/** The KMS of one site: a pool for each other site, and a face for each of its own hosts. */
export class SiteKms implements KmsDirectory, Closable {
  readonly #options: SiteKmsOptions
  readonly #registry: SaeRegistry
  readonly #admission: Admission
  readonly #audit: DecisionLog | undefined
  readonly #multicast: Multicast
  readonly #border: Border | undefined
  readonly #recent: RecentKeys
  readonly #receipts: KeyReceipts
  readonly #incidents: SiteIncidents
  /** What becomes of keys that come from other domains; undefined where this site has no border. */
  readonly receiver: AbroadReceiver | undefined
  readonly #shareAdmission: ShareAdmission
  readonly #lowered: StandingAlarms
  /** By site ID. */
  readonly #pools: ReadonlyMap<string, KeyPool>
  readonly #dialers: readonly PeerDialer[]
  #closing: Promise<void> | undefined

  private constructor(
    options: SiteKmsOptions,
    {
      pools,
      admission,
      border,
      registry,
      recent,
      incidents,
    }: {
      pools: ReadonlyMap<string, KeyPool>
      admission: Admission
      border: Border | undefined
      registry: SaeRegistry
      recent: RecentKeys
      incidents: SiteIncidents
    },
  ) {
    this.#options = options
    this.#pools = pools
    this.#border = border
    this.#incidents = incidents
    this.#registry = registry
    this.#recent = recent
    const { audit, telemetry, now = Date.now, monotonicMs: clock = () => performance.now() } = options
    this.#receipts = new KeyReceipts({ audit, recent, telemetry, now, monotonicMs: clock })
    this.#admission = admission
    this.#lowered = new StandingAlarms({ telemetry: options.telemetry, scope: options.local.siteId })
    const { monotonicMs = () => performance.now() } = options
    const logger = options.logger ?? debugLogger('kms')
    this.#audit = options.audit && new DecisionLog({ log: options.audit, logger, monotonicMs })
    const common = { local: options.local, registry: this.#registry, admission, audit: this.#audit }
    this.#shareAdmission = new ShareAdmission({ ...common, neighbours: border?.neighbours })
    this.receiver = border?.receiver({
      ...common,
      poolFor: siteId => pools.get(siteId),
      anyPool: () => pools.values().next().value,
    })
    this.#multicast = new Multicast({
      ...common,
      poolFor: siteId => pools.get(siteId),
      capacityCells: this.#capacityCells,
    })
    this.#dialers = options.peers.flatMap(({ siteId, dial }) =>
      dial === undefined
        ? []
        : [
            new PeerDialer({
              remoteSiteId: siteId,
              dial,
              attach: channel => pools.get(siteId)!.attach(channel),
              logger,
            }),
          ],
    )
  }

  /**
   * Opens the pools of all peers. QNL and stores stay the caller's to close, after this.
   * @throws {StoreError} a pool cannot be read
   */
  static async open(options: SiteKmsOptions): Promise<SiteKms> {
    const {
      local,
      peers,
      store,
      slots,
      qnl,
      telemetry,
      pool: limits,
      logger = debugLogger('kms'),
      now,
      monotonicMs,
    } = options
    const pools = new Map<string, KeyPool>()
    let kms: SiteKms | undefined
    const provenance =
      options.audit &&
      new ProvenanceLog({
        log: options.audit,
        telemetry,
        logger,
        wayOf: (siteId, block) => pools.get(siteId)?.incidents.wayOf(block),
        epochOf: siteId => pools.get(siteId)?.status().secret?.epoch,
      })
    let border: Border | undefined
    const admission = admissionOf(options)
    const clocks = { ...(now === undefined ? {} : { now }), ...(monotonicMs === undefined ? {} : { monotonicMs }) }
    const { identity } = options
    const recorded = { qnl: provenance?.recording(qnl) ?? qnl, telemetry: provenance ?? telemetry }
    const { marks, afterRestore } = options
    const kept = { store, slots, marks, afterRestore }
    const common = { localSiteId: local.siteId, ...kept, limits, identity, logger, ...recorded, ...clocks }
    try {
      await sweepSlots(options)
      border = options.neighbours && (await Border.open(options.neighbours, { store, logger }))
      const abroad = border === undefined ? {} : { abroad: border.relay }
      for (const { siteId } of peers) {
        const virtual: VirtualTerms = {
          allows: level => admission.takesLevel(level, siteId),
          cellsPerBlock: () => admission.cellsPerSeed,
        }
        // No peer is heard before the KMS is whole.
        const admitShare = async (question: ShareQuestion) => kms!.#shareAdmission.admit(siteId, question)
        pools.set(siteId, await KeyPool.open({ ...common, remoteSiteId: siteId, virtual, admitShare, ...abroad }))
      }
      const registry = new SaeRegistry([local, ...peers, ...(border?.sites ?? [])])
      const recent = new RecentKeys({ lifeMs: LEASE_LIFE_MS + limits.lifetimeMs })
      const incidents = await SiteIncidents.open({
        localSiteId: local.siteId,
        store,
        pools,
        audit: options.audit,
        telemetry,
        logger,
        now: now ?? Date.now,
        registry,
        recent,
      })
      kms = new SiteKms(options, { pools, admission, border, registry, recent, incidents })
    } catch (error) {
      await Promise.allSettled([...[...pools.values()].map(pool => pool.close()), border?.close()])
      throw error
    }
    return kms
  }

  kmsFor(saeId: string): Kms {
    const { local, telemetry, pool, keys } = this.#options
    if (this.#closing !== undefined) throw new ClosedError('The KMS is closed')
    if (this.#registry.siteOf(saeId) !== local)
      throw new UnauthorizedError(`SAE ${saeId} is not registered at ${local.kmeId}`)
    return new EmbeddedKms({
      saeId,
      local,
      registry: this.#registry,
      poolFor: siteId => this.#pools.get(siteId),
      admission: this.#admission,
      audit: this.#audit,
      recent: this.#recent,
      receipts: this.#receipts,
      incidents: this.#incidents,
      maxKeyPerRequest: keys.maxKeyPerRequest,
      multicast: this.#multicast,
      border: this.#border,
      maxSaeIdCount: keys.maxSaeIdCount ?? MAX_SAE_ID_COUNT,
      poolSharing: keyId => [...this.#pools.values()].find(({ shared }) => shared.has(keyId)),
      capacityCells: this.#capacityCells,
      maxWaitMs: pool.maxWaitMs,
      telemetry,
      tracer: this.#options.tracer ?? noTracer,
      lowered: this.#lowered,
    })
  }

  get #capacityCells(): number {
    return this.#options.pool.targetBlocks * PAYLOAD_CELLS
  }

  /** Takes over a channel that a peer's KMS opened; one from anybody else is closed. */
  accept(channel: MessageChannel): void {
    const peer = this.#options.peers.find(({ kmeId }) => kmeId === channel.peerId)
    const used =
      peer === undefined || this.#closing !== undefined ? undefined : this.#pools.get(peer.siteId)?.attach(channel)
    ;(used ?? channel.close()).catch(() => {})
  }

  /** Decides by another policy from now on; no request is dropped for it. */
  setPolicy(policy: PolicyFile): void {
    this.#admission.setPolicy(policy)
    this.#audit?.policyInForce(policy.rules.length)
  }

  /** Refreshes the secrets with all other sites as soon as their epochs allow, whatever the schedule says. */
  refreshSecrets(): void {
    for (const pool of this.#pools.values()) pool.refreshSecret()
  }

  /** Where a security officer declares incidents. */
  get incidents(): IncidentDesk {
    return this.#incidents
  }

  /** The state of every pool. */
  status(): KeyPoolStatus[] {
    return [...this.#pools.values()].map(pool => pool.status())
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    for (const dialer of this.#dialers) dialer.stop()
    await this.#border?.close()
    await this.#incidents.close()
    await Promise.all([...this.#pools.values()].map(pool => pool.close()))
    await Promise.all(this.#dialers.map(dialer => dialer.stopped))
  }
}

function admissionOf({
  policy = SHIPPED_POLICY,
  keys: limits,
  pool,
  // The hours of a policy are those on the wall, also where the clock was set since the start.
  now = () => Date.now(),
  monotonicMs = () => performance.now(),
}: SiteKmsOptions): Admission {
  return new Admission({ policy, limits, keyLifeMs: LEASE_LIFE_MS + pool.lifetimeMs, now, monotonicMs })
}

/**
 * Destroys keys that a crash left in the slot file without a block. Pools of peers that are no longer configured keep
 * theirs: a peer that comes back finds its pool.
 */
async function sweepSlots({ store, slots }: SiteKmsOptions): Promise<void> {
  const live = new Set<number>()
  for (const poolId of await store.poolIds()) {
    const { pool, blocks, notes } = await store.snapshot(poolId)
    for (const [name, { value }] of notes) for (const slot of slotsOfNote(name, value)) live.add(slot)
    if (pool.rootSlot >= 0) live.add(pool.rootSlot)
    for (const { slot } of blocks) if (slot >= 0) live.add(slot)
  }
  await slots.eraseAllBut(live)
}
