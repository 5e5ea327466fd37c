import { dialTlsChannel } from './channel/tls-dial.ts'
import { createTlsChannelListener } from './channel/tls-listener.ts'
import type { PeerConfig, SiteConfig } from './config/site-config.ts'
import { dials } from './config/site-config-checks.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import type { AuditLog } from './interface/audit.ts'
import type { CommitMarks } from './interface/commit-marks.ts'
import type { CertificateIdentity } from './interface/http.ts'
import type { IncidentDesk } from './interface/incident.ts'
import type { Kms, KmsDirectory, SecurityLevel } from './interface/kms.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { Link } from './interface/link.ts'
import type { Logger } from './interface/logger.ts'
import type { Ownership } from './interface/owner-election.ts'
import type { PolicyFile } from './interface/policy.ts'
import type { PoolStore, SlotStore } from './interface/pool-store.ts'
import type { Telemetry, TelemetrySource } from './interface/telemetry.ts'
import type { Tracer } from './interface/tracer.ts'
import { SiteIdentity } from './key/site-identity.ts'
import { traceAudit } from './kms/audit/traced-audit.ts'
import type { KeyPoolStatus, PoolLimits } from './kms/pool/key-pool.ts'
import { type PeerSite, SiteKms } from './kms/site-kms.ts'
import { SiteBorder } from './site-border.ts'
import { watchInterruptions } from './site-interruptions.ts'
import { openSiteNetwork } from './site-network.ts'
import type { ListenAddress } from './util/listen.ts'
import { Opened } from './util/opened.ts'

/** What of a site runs in one process at a time: its pools, and all that fills them. */
export interface SiteCore extends KmsDirectory, Closable {
  readonly links: readonly Link[]
  readonly address: {
    /** Where the KMSs of other sites connect. */
    readonly peer: ListenAddress
    /** Where listening link ends wait, by link ID. */
    readonly links: Readonly<Record<string, ListenAddress>>
    /** Where the nodes of other sites connect; undefined without a network. */
    readonly node: ListenAddress | undefined
    /** Where the KMEs of other domains connect; undefined where there is no border. */
    readonly border: (ListenAddress & { readonly url: string }) | undefined
  }
  /** Where a security officer declares incidents. */
  readonly incidents: IncidentDesk
  status(): readonly KeyPoolStatus[]
  /** Who owns the pools, where the site has replicas. */
  ownership?(): Ownership
  setPolicy(policy: PolicyFile): void
  refreshSecrets(): void
}

/** What a core stands on; all of it stays the caller's. */
export interface SiteCoreParts {
  readonly store: PoolStore
  readonly slots: SlotStore
  /** The store's commit numbers outside of it; undefined where there are none. */
  readonly marks?: CommitMarks | undefined
  /** True where somebody knows that the store was put back. */
  readonly afterRestore?: boolean | undefined
  readonly audit: AuditLog | undefined
  readonly telemetry: Telemetry & TelemetrySource
  /** Follows requests for keys; undefined where nobody does. */
  readonly tracer: Tracer | undefined
  readonly logger: Logger | undefined
}

/** Opens links, network layer, KMS, and the servers for other sites and domains. */
export async function openSiteCore(config: SiteConfig, parts: SiteCoreParts): Promise<SiteCore> {
  const opened = new Opened('site')
  try {
    return await open(config, parts, opened)
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}

async function open(
  config: SiteConfig,
  { store, slots, marks, afterRestore, audit, telemetry, tracer, logger }: SiteCoreParts,
  opened: Opened,
): Promise<SiteCore> {
  const { siteId, kmeId, tls } = config
  const log = logger === undefined ? {} : { logger }
  const network = opened.add(await openSiteNetwork(config, { telemetry, ...log }))
  const { qnl, links, listening, nodeAddress } = network
  opened.add(watchInterruptions({ qnl, telemetry }))
  const border = config.border && opened.add(new SiteBorder(config, config.border, { logger }))
  const kms = opened.add(
    await SiteKms.open({
      local: { siteId, kmeId, saeIds: config.saes.map(({ saeId }) => saeId), minLevels: minLevelsOf(config) },
      peers: config.peers.map(peer => peerSite(config, peer)),
      qnl,
      store,
      slots,
      marks,
      afterRestore,
      pool: poolLimits(config),
      keys: config.keys,
      ...(border === undefined ? {} : { neighbours: border.neighbours }),
      ...(config.mlDsa === undefined ? {} : { identity: new SiteIdentity(config.mlDsa) }),
      ...(config.policy === undefined ? {} : { policy: config.policy }),
      ...(audit === undefined ? {} : { audit: tracer === undefined ? audit : traceAudit(audit, tracer) }),
      telemetry,
      tracer,
      ...log,
    }),
  )
  const peers = opened.add(
    createTlsChannelListener({
      ...tls,
      ...config.peerListen,
      identify: identity => kmeIdOf(config.peers, identity),
      onChannel: channel => kms.accept(channel),
      ...log,
    }),
  )
  await peers.listen()
  const borderAddress = kms.receiver && (await border?.listen(kms.receiver))
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= opened.close()
    return closing
  }
  return {
    links,
    address: { peer: peers.address, links: listening, node: nodeAddress, border: borderAddress },
    incidents: kms.incidents,
    kmsFor: (saeId: string): Kms => kms.kmsFor(saeId),
    status: () => kms.status(),
    setPolicy: policy => kms.setPolicy(policy),
    refreshSecrets: () => kms.refreshSecrets(),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function peerSite(config: SiteConfig, peer: PeerConfig): PeerSite {
  const { siteId, kmeId, saes: saeIds, foreignSaes: foreignSaeIds = [], host, port } = peer
  const site = { siteId, kmeId, saeIds, foreignSaeIds }
  if (!dials(config.siteId, siteId) || host === undefined || port === undefined) return site
  const identify = (identity: CertificateIdentity) => kmeIdOf([peer], identity)
  const dial = (signal: AbortSignal) =>
    dialTlsChannel({ ...config.tls, host, port, expectedPeerId: kmeId, identify, signal })
  return { ...site, dial }
}

function kmeIdOf(peers: readonly PeerConfig[], identity: CertificateIdentity): string | undefined {
  return peers.find(({ kmeId }) => isKmeCertificate(identity, kmeId))?.kmeId
}

/** The network shares out what there is. What comes from a satellite must last until its next pass: those pools are kept full. */
function poolLimits({ pool, links }: SiteConfig): PoolLimits {
  const isDarkAtTimes = links.some(({ kind }) => kind === 'satellite')
  return { ...(isDarkAtTimes && { minBlocks: pool.targetBlocks }), ...pool, demandBps: MOST_DEMAND_BPS }
}

/** More than a pool is ever asked for, in bits per second. */
const MOST_DEMAND_BPS = 1e9

function minLevelsOf({ saes }: SiteConfig): ReadonlyMap<string, SecurityLevel> {
  return new Map(saes.flatMap(({ saeId, minLevel }) => (minLevel === undefined ? [] : [[saeId, minLevel] as const])))
}
