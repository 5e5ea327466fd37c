import type { SiteConfig } from './config/site-config.ts'
import { InvalidArgumentError } from './errors.ts'
import { createEtsi014Handler } from './etsi014/handler.ts'
import { saeIdentifier } from './etsi014/sae-identity.ts'
import { createHttpsServer, type HttpsServer } from './http/https-server.ts'
import type { HttpHandler } from './interface/http.ts'
import type { KmsDirectory } from './interface/kms.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { Logger } from './interface/logger.ts'
import type { Telemetry } from './interface/telemetry.ts'
import type { UndeliveredKeys } from './kms/owner/serve-owner.ts'
import type { ListenAddress } from './util/listen.ts'
import { WorkerPool } from './workers/worker-pool.ts'
import type { StartWorker } from './workers/worker-process.ts'

/** The ETSI GS QKD 014 server of a site, in this process or in workers. */
export interface HostServer extends Closable {
  readonly address: ListenAddress
  /** `https://host:port`, without a slash at the end. */
  readonly url: string
  /** Process IDs of the workers that serve now; empty without workers. */
  workerPids(): readonly number[]
}

/** What that server is opened with. */
export interface HostServerOptions {
  readonly directory: KmsDirectory
  readonly telemetry: Telemetry
  /** Starts a worker; needed where the configuration has any. */
  readonly startWorker?: StartWorker | undefined
  readonly logger?: Logger | undefined
  /** Begins a trace with each request that this process serves. Default none. */
  readonly traced?: ((handler: HttpHandler) => HttpHandler) | undefined
}

/** Connections at a time where the configuration says nothing. */
const MAX_CONNECTIONS = 1_024

/**
 * Opens the server for the hosts of a site. Resolves when it serves.
 * @throws {InvalidArgumentError} there are to be workers, and nothing that starts one
 */
export async function openHostServer(config: SiteConfig, options: HostServerOptions): Promise<HostServer> {
  if ((config.workers ?? 0) > 0) return await openWorkers(config, options)
  const server = createHostServer(config, options)
  await server.listen()
  return Object.assign(server, { workerPids: () => [] })
}

/** The same in this process, not listening yet. */
export function createHostServer(
  config: Pick<SiteConfig, 'etsi014' | 'saes' | 'tls' | 'listen'>,
  { directory, logger, traced = handler => handler }: Pick<HostServerOptions, 'directory' | 'logger' | 'traced'>,
): HttpsServer {
  const { saeIdentity: sources, clientCertificate, maxConnections, ...options } = config.etsi014 ?? {}
  const saeIdentity = saeIdentifier(config.saes, sources)
  const log = logger === undefined ? {} : { logger }
  const handler = traced(createEtsi014Handler({ ...options, directory, saeIdentity, ...log }))
  const limits = {
    ...(clientCertificate !== undefined && { clientCertificate }),
    ...(maxConnections !== undefined && { maxConnections }),
    ...(options.bodyLimitBytes !== undefined && { bodyLimitBytes: options.bodyLimitBytes }),
  }
  return createHttpsServer({ ...config.tls, ...config.listen, ...limits, handler, ...log })
}

async function openWorkers(config: SiteConfig, options: HostServerOptions): Promise<HostServer> {
  const { siteId, tls, saes, listen, etsi014, workers: count = 0 } = config
  const { directory, telemetry, startWorker, logger } = options
  if (startWorker === undefined) {
    throw new InvalidArgumentError('workers are processes: pass startWorker, which starts one, or leave workers out')
  }
  const pool = await WorkerPool.open({
    count,
    start: startWorker,
    setup: { siteId, tls, saes, ...(etsi014 && { etsi014 }) },
    listen,
    maxConnections: etsi014?.maxConnections ?? MAX_CONNECTIONS,
    directory,
    onUndelivered: undeliveredTo(config, telemetry),
    onChange: ({ ready, lost }) => {
      telemetry.gauge('site_workers', {}, ready)
      const state = lost === undefined ? 'ready' : 'lost'
      telemetry.emit({ type: 'worker', state, ready, count, ...(lost !== undefined && { reason: lost }) })
    },
    ...(logger && { logger }),
  })
  const { host, port } = pool.address
  return Object.assign(pool, { url: `https://${host.includes(':') ? `[${host}]` : host}:${port}` })
}

/** Keys that nobody got are burned: their cells are spent at both sites. */
export function undeliveredTo(
  { siteId, peers }: Pick<SiteConfig, 'siteId' | 'peers'>,
  telemetry: Telemetry,
): (keys: UndeliveredKeys) => void {
  const siteOf = new Map(
    peers.flatMap(peer => [...peer.saes, ...(peer.foreignSaes ?? [])].map(sae => [sae, peer.siteId])),
  )
  return ({ peerSaeId, cells, reason }) => {
    telemetry.emit({ type: 'cells-burned', peerSiteId: siteOf.get(peerSaeId) ?? siteId, cells, reason })
  }
}
