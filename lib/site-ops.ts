import type { ListenConfig } from './config/site-config.ts'
import type { PlainServer } from './http/plain-server.ts'
import type { Alarms } from './interface/alarm.ts'
import type { TelemetrySource } from './interface/telemetry.ts'
import { createMetricsServer } from './metrics-server.ts'
import type { Site, SiteStatus } from './site.ts'

/** The server of a site's health, readiness and metrics. Counters begin now, and last as long as the site's telemetry. */
export function createOpsServer(
  listen: ListenConfig,
  site: Site,
  { alarms, workers }: { alarms: Alarms; workers: WorkerCount },
): PlainServer {
  return createMetricsServer(site.telemetry, {
    ...listen,
    labels: { site: site.siteId },
    readiness: () => withWorkers(readiness(site.status()), workers()),
    alarms: () => alarms.list(),
  })
}

/** How many workers there are to be, and how many serve now. */
type WorkerCount = () => { readonly count: number; readonly ready: number }

type Readiness = { ready: boolean; reasons: string[] }

/** Where hosts are served by workers, one at least must be there. */
function withWorkers({ ready, reasons }: Readiness, workers: ReturnType<WorkerCount>): Readiness {
  if (workers.ready >= workers.count) return { ready, reasons }
  const missing = `${workers.ready} of ${workers.count} workers serve`
  return { ready: ready && workers.ready > 0, reasons: [...reasons, missing] }
}

/** The same for a part of a site that is a process of its own. */
export function createRoleOpsServer(
  listen: ListenConfig,
  {
    siteId,
    telemetry,
    readiness,
  }: {
    siteId: string
    telemetry: TelemetrySource
    readiness: () => { readonly ready: boolean; readonly reasons: readonly string[] }
  },
): PlainServer {
  return createMetricsServer(telemetry, { ...listen, labels: { site: siteId }, readiness })
}

/** A site serves while hosts can have keys of one peer at least; a site without peers has nothing to be ready for. */
function readiness({ pools, ownership }: SiteStatus): { ready: boolean; reasons: string[] } {
  if (ownership?.role === 'none') return { ready: false, reasons: ['no replica of the site owns its pools'] }
  const reasons = pools.flatMap(({ remoteSiteId, connected, issuableCells }) => [
    ...(connected ? [] : [`the KMS of ${remoteSiteId} is not connected`]),
    ...(issuableCells > 0 ? [] : [`there is no key for ${remoteSiteId}`]),
  ])
  return { ready: pools.length === 0 || pools.some(pool => pool.connected && pool.issuableCells > 0), reasons }
}
