import type { ListenConfig } from './config/site-config.ts'
import { createPlainServer, type PlainServer } from './http/plain-server.ts'
import type { Alarms } from './interface/alarm.ts'
import type { TelemetrySource } from './interface/telemetry.ts'
import { createOpsHandler } from './metrics/ops-handler.ts'
import { SiteMetrics } from './metrics/site-metrics.ts'
import type { Site, SiteStatus } from './site.ts'

/** The server of a site's health, readiness and metrics. Counters begin now, and last as long as the site's telemetry. */
export function createOpsServer(listen: ListenConfig, site: Site, alarms: Alarms): PlainServer {
  const metrics = new SiteMetrics(site.telemetry, { site: site.siteId }, { alarms: () => alarms.list() })
  const handler = createOpsHandler({
    metrics: format => metrics.text(format),
    readiness: () => readiness(site.status()),
  })
  return createPlainServer({ handler, ...listen })
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
  const metrics = new SiteMetrics(telemetry, { site: siteId })
  return createPlainServer({
    handler: createOpsHandler({ metrics: format => metrics.text(format), readiness }),
    ...listen,
  })
}

/** A site serves while hosts can have keys of one peer at least; a site without peers has nothing to be ready for. */
function readiness({ pools }: SiteStatus): { ready: boolean; reasons: string[] } {
  const reasons = pools.flatMap(({ remoteSiteId, connected, issuableCells }) => [
    ...(connected ? [] : [`the KMS of ${remoteSiteId} is not connected`]),
    ...(issuableCells > 0 ? [] : [`there is no key for ${remoteSiteId}`]),
  ])
  return { ready: pools.length === 0 || pools.some(pool => pool.connected && pool.issuableCells > 0), reasons }
}
