import { createMemoryChannelPair } from './channel/memory-channel.ts'
import type { SiteConfig } from './config/site-config.ts'
import type { Alarms } from './interface/alarm.ts'
import type { AuditLog } from './interface/audit.ts'
import type { CommitMarks } from './interface/commit-marks.ts'
import type { Kms, KmsDirectory } from './interface/kms.ts'
import type { AbortOptions, Closable } from './interface/lifecycle.ts'
import type { Link, LinkStatus } from './interface/link.ts'
import type { Logger } from './interface/logger.ts'
import type { OperatorCalls } from './interface/operator.ts'
import type { Ownership } from './interface/owner-election.ts'
import type { PolicyFile } from './interface/policy.ts'
import type { PoolStore, SlotStore } from './interface/pool-store.ts'
import { SiteIdentity } from './key/site-identity.ts'
import { AuditFile } from './kms/audit/audit-file.ts'
import { Checkpoints } from './kms/audit/checkpoints.ts'
import { WatchedAudit } from './kms/audit/watched-audit.ts'
import { registerIncidentCalls } from './kms/incident/incident-calls.ts'
import type { KeyPoolStatus, PoolLimits } from './kms/pool/key-pool.ts'
import { type PeerSite, SiteKms } from './kms/site-kms.ts'
import { MemorySlots } from './kms/store/memory-slots.ts'
import { MemoryPoolStore } from './kms/store/memory-store.ts'
import { watchNextKek } from './kms/store/next-kek.ts'
import { openStore } from './kms/store/open-store.ts'
import { kekNameOf, type SlotFile } from './kms/store/slot-file.ts'
import { createSimulatedLinkPair } from './qll/simulated-link-pair.ts'
import { DirectQnl } from './qnl/direct-qnl.ts'
import { openSiteAlarms } from './site-alarms.ts'
import { openSiteConsole } from './site-console.ts'
import { openSiteCore, type SiteCore } from './site-core.ts'
import { openHostServer } from './site-hosts.ts'
import { type OperatorAddress, openSiteOperators } from './site-operators.ts'
import { createOpsServer } from './site-ops.ts'
import { SiteReplica } from './site-replica.ts'
import { createSkipServer } from './site-skip.ts'
import { TelemetryHub } from './telemetry.ts'
import { openTracing } from './tracing.ts'
import type { ListenAddress } from './util/listen.ts'
import { Opened } from './util/opened.ts'
import type { StartWorker } from './workers/worker-process.ts'

/**
 * The composition root: the only place where concrete classes of several layers meet. A site is the same whether its
 * peer is in this process or on another continent; only the channels and links handed to it differ.
 */

/** What a site tells of itself. */
export interface SiteStatus {
  readonly siteId: string
  readonly kmeId: string
  readonly pools: readonly KeyPoolStatus[]
  readonly links: readonly LinkStatus[]
  /** Who owns the pools, where the site has replicas; the others have no pools to tell of. */
  readonly ownership?: Ownership
}

/** One running site: link ends, network layer and KMS. */
export interface Site extends KmsDirectory, Closable {
  readonly siteId: string
  /** Everything the site's layers report. */
  readonly telemetry: TelemetryHub
  status(): SiteStatus
  /** Decides by another policy from now on, which must have passed its checks. No request is dropped for it. */
  setPolicy(policy: PolicyFile): void
  /** Refreshes the secrets with all other sites now, or as soon as the keys of the epoch before are over. */
  refreshSecrets(): void
}

/** A site that serves other machines. */
export interface ServedSite extends Site {
  readonly alarms: Alarms
  /** Calls of operators, also of those in this process: each says who makes it. */
  readonly operators: OperatorCalls
  /** Process IDs of the workers that serve hosts now; empty without workers. */
  workerPids(): readonly number[]
  readonly address: {
    /** The ETSI GS QKD 014 server, for the site's hosts. */
    readonly etsi014: ListenAddress & { readonly url: string }
    /** Cisco's SKIP server, for the site's encryptors; undefined where the configuration has none. */
    readonly skip: (ListenAddress & { readonly url: string }) | undefined
    /** The ETSI GS QKD 020 server, for the KMEs of other domains at this site; undefined where there is no border. */
    readonly border: (ListenAddress & { readonly url: string }) | undefined
    /** Health, readiness and metrics; undefined where the configuration has none. */
    readonly ops: ListenAddress | undefined
    /** Where operators' calls come in; undefined where the configuration has no operators. */
    readonly operators: OperatorAddress | undefined
    /** The page that shows the site to a person; undefined where the configuration has none. */
    readonly console: { readonly url: string } | undefined
    /** Where the KMSs of other sites connect. */
    readonly peer: ListenAddress
    /** Where listening link ends wait, by link ID. */
    readonly links: Readonly<Record<string, ListenAddress>>
    /** Where the nodes of other sites connect; undefined without a network. */
    readonly node: ListenAddress | undefined
  }
}

/** What the caller may bring along. */
export interface SiteOptions extends AbortOptions {
  readonly logger?: Logger
  /** Starts a worker process; needed where the configuration has `workers`. */
  readonly startWorker?: StartWorker
  /** Where `config.policy` was read from: an operator may have it read again. */
  readonly policyPath?: string | undefined
  /** True where the store was put back to an older copy, or from a backup. Default what the site finds out itself. */
  readonly afterRestore?: boolean
}

class AssembledSite implements Site {
  readonly siteId: string
  readonly telemetry: TelemetryHub
  readonly #kmeId: string
  readonly #kms: Pick<SiteCore, 'kmsFor' | 'setPolicy' | 'refreshSecrets' | 'status' | 'ownership'>
  readonly #links: () => readonly Link[]
  readonly #opened: Opened
  #closing: Promise<void> | undefined

  constructor(parts: {
    siteId: string
    kmeId: string
    telemetry: TelemetryHub
    kms: Pick<SiteCore, 'kmsFor' | 'setPolicy' | 'refreshSecrets' | 'status' | 'ownership'>
    links: () => readonly Link[]
    opened: Opened
  }) {
    this.siteId = parts.siteId
    this.telemetry = parts.telemetry
    this.#kmeId = parts.kmeId
    this.#kms = parts.kms
    this.#links = parts.links
    this.#opened = parts.opened
  }

  kmsFor(saeId: string): Kms {
    return this.#kms.kmsFor(saeId)
  }

  setPolicy(policy: PolicyFile): void {
    this.#kms.setPolicy(policy)
    this.telemetry.emit({ type: 'policy', outcome: 'in-force', rules: policy.rules.length })
  }

  refreshSecrets(): void {
    this.#kms.refreshSecrets()
  }

  status(): SiteStatus {
    const ownership = this.#kms.ownership?.()
    return {
      siteId: this.siteId,
      kmeId: this.#kmeId,
      pools: this.#kms.status(),
      links: this.#links().map(link => link.status()),
      ...(ownership === undefined ? {} : { ownership }),
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#opened.close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Starts a site from its configuration: link ends, network layer, KMS with its store, the server for other KMSs and the
 * ETSI GS QKD 014 server for its hosts. Resolves when it serves; peers and links are connected as they come up.
 * @throws {StoreError} the store is in use, damaged, or its key encryption key is missing
 * @throws `signal.reason` where `signal` aborts before pools and links are open; what was open by then is closed
 */
export async function createSite(config: SiteConfig, options: SiteOptions = {}): Promise<ServedSite> {
  const opened = new Opened('site')
  try {
    return await openSite(config, options, opened)
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}

async function openSite(
  config: SiteConfig,
  { logger, startWorker, policyPath, afterRestore, signal }: SiteOptions,
  opened: Opened,
): Promise<ServedSite> {
  const { siteId, kmeId } = config
  const telemetry = new TelemetryHub()
  const { tracer, traced } = config.traces === true ? await openTracing() : {}
  const kept = await openKept(config, { opened, telemetry, logger })
  const auditFile = config.audit && (await AuditFile.open(config.audit.file, { siteId }))
  const audit = auditFile && opened.add(new WatchedAudit({ log: auditFile, telemetry }))
  if (auditFile !== undefined && config.mlDsa !== undefined) {
    const identity = new SiteIdentity(config.mlDsa)
    opened.add(
      new Checkpoints({ siteId, log: audit!, head: () => auditFile.head, identity, ...(logger && { logger }) }),
    )
  }
  const alarms = opened.add(await openSiteAlarms(config, { telemetry, audit, kekName: kekNameOf(kept.slots), logger }))
  const core = opened.add(
    'replica' in kept
      ? await kept.replica.start({ audit, afterRestore, tracer, ...(signal && { signal }) })
      : await openSiteCore(config, { ...kept, afterRestore, audit, telemetry, tracer, logger }),
  )
  signal?.throwIfAborted()
  const server = opened.add(await openHostServer(config, { directory: core, telemetry, startWorker, logger, traced }))
  const skip = config.skip && opened.add(createSkipServer(config, config.skip, { directory: core, logger }))
  await skip?.listen()
  const site = new AssembledSite({ siteId, kmeId, telemetry, kms: core, links: () => core.links, opened })
  const workers = () => ({ count: config.workers ?? 0, ready: server.workerPids().length })
  const ops = config.ops && (await opened.add(createOpsServer(config.ops, site, { alarms, workers })).listen())
  const auditHead = auditFile && (() => auditFile.head)
  const auditLines = auditHead && (() => auditHead().n)
  const operators = await openSiteOperators(config, site, { opened, audit, auditHead, alarms, policyPath, logger })
  const { incidents } = core
  registerIncidentCalls(operators.calls, { desk: incidents, auditFile: config.audit?.file })
  const shown = { site, alarms, incidents, auditLines }
  const page = config.console && opened.add(await openSiteConsole(config, config.console, shown))
  return Object.assign(site, {
    alarms,
    operators: operators.calls,
    workerPids: () => server.workerPids(),
    address: {
      ...core.address,
      etsi014: { ...server.address, url: server.url },
      skip: skip && { ...skip.address, url: skip.url },
      ops,
      console: page && { url: page.url },
      operators: operators.address,
    },
  })
}

/** Store and slots, or a replica's part in a store that it opens when it owns the pools. */
async function openKept(
  config: SiteConfig,
  { opened, telemetry, logger }: { opened: Opened; telemetry: TelemetryHub; logger: Logger | undefined },
): Promise<{ store: PoolStore; slots: SlotStore; marks?: CommitMarks } | { replica: SiteReplica; slots: SlotStore }> {
  const { store } = config
  if (store.kind === 'memory') return { store: opened.add(new MemoryPoolStore()), slots: opened.add(new MemorySlots()) }
  const watch = (slots: SlotFile) => {
    if ('file' in store.kek) opened.add(watchNextKek(store.kek.file, { slots, ...(logger && { logger }) }))
    return slots
  }
  if (store.kind === 'postgresql') {
    const replica = opened.add(await SiteReplica.open(config, store, { telemetry, logger }))
    return { replica, slots: watch(replica.slots) }
  }
  const open = await openStore(store, { logger })
  opened.add(open.store)
  return { store: open.store, slots: watch(opened.add(open.slots)), marks: opened.add(open.marks) }
}

/** One of the two sites of `createLocalPair`. */
export interface LocalSiteOptions {
  readonly siteId: string
  readonly saeIds: readonly string[]
}

/** How the two sites of `createLocalPair` are made. */
export interface LocalPairOptions extends AbortOptions {
  /** Default `site-a` with SAE `alice`, and `site-b` with SAE `bob`. */
  readonly sites?: readonly [LocalSiteOptions, LocalSiteOptions]
  /** Secret key rate of the simulated link between the two, in bits per second. Default 10,000,000. */
  readonly rateBps?: number
  /** The two ends of the link between the sites, which close them. Default a simulated link of `rateBps`. */
  readonly links?: readonly [Link, Link]
  readonly pool?: Partial<PoolLimits>
  readonly keys?: Partial<SiteConfig['keys']>
  /** Who may have which keys, at both sites. Default what `keys` allows, to every host. */
  readonly policy?: PolicyFile
  /** Where each site's decisions are written; they stay the caller's. Default nowhere. */
  readonly audits?: readonly [AuditLog, AuditLog]
  /** Wall clock of both sites, in milliseconds. Default the system's. */
  readonly now?: () => number
  readonly logger?: Logger
}

export const DEFAULT_POOL: Omit<PoolLimits, 'demandBps'> = {
  targetBlocks: 8,
  lifetimeMs: 300_000,
  maxWaitMs: 2000,
  shredMs: 60_000,
}
export const DEFAULT_KEYS: SiteConfig['keys'] = {
  keySizeBits: 256,
  minKeySizeBits: 64,
  maxKeySizeBits: 4096,
  maxKeyPerRequest: 128,
}

/**
 * Two whole sites in this process, joined by a simulated link: no set-up, no sockets, nothing on disk. The same code as
 * two sites on two machines. The caller closes both.
 */
export async function createLocalPair(options: LocalPairOptions = {}): Promise<[Site, Site]> {
  const { rateBps = 10_000_000, logger } = options
  const [near, far] = options.sites ?? [
    { siteId: 'site-a', saeIds: ['alice'] },
    { siteId: 'site-b', saeIds: ['bob'] },
  ]
  const siteIds = [near.siteId, far.siteId] as const
  const ends = options.links ?? createSimulatedLinkPair({ linkId: siteIds.join('-'), siteIds, rateBps })
  const limits = { ...DEFAULT_POOL, demandBps: rateBps, ...options.pool }
  const keys = { ...DEFAULT_KEYS, ...options.keys }
  const log = logger === undefined ? {} : { logger }
  const open = async (local: LocalSiteOptions, peer: LocalSiteOptions, link: Link, dial?: PeerSite['dial']) => {
    const audit = options.audits?.[local === near ? 0 : 1]
    const opened = new Opened('site')
    const telemetry = new TelemetryHub()
    opened.add(link)
    const qnl = opened.add(new DirectQnl({ siteId: local.siteId, links: [link], telemetry }))
    const kms = opened.add(
      await SiteKms.open({
        local: registered(local),
        peers: [{ ...registered(peer), ...(dial === undefined ? {} : { dial }) }],
        qnl,
        store: opened.add(new MemoryPoolStore()),
        slots: opened.add(new MemorySlots()),
        pool: limits,
        keys,
        ...(options.policy === undefined ? {} : { policy: options.policy }),
        ...(audit === undefined ? {} : { audit }),
        ...(options.now === undefined ? {} : { now: options.now }),
        telemetry,
        ...log,
      }),
    )
    const { siteId } = local
    return {
      kms,
      site: new AssembledSite({ siteId, kmeId: kmeIdFor(siteId), telemetry, kms, links: () => [link], opened }),
    }
  }
  const second = await open(far, near, ends[1])
  const first = await open(near, far, ends[0], async () => {
    const [ours, theirs] = createMemoryChannelPair([kmeIdFor(near.siteId), kmeIdFor(far.siteId)])
    second.kms.accept(theirs)
    return ours
  })
  return [first.site, second.site]
}

function registered({ siteId, saeIds }: LocalSiteOptions) {
  return { siteId, kmeId: kmeIdFor(siteId), saeIds }
}

function kmeIdFor(siteId: string): string {
  return `kme-${siteId}`
}
