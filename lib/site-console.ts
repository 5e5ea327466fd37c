import type { ConsoleConfig } from './config/console-config.ts'
import type { ControllerConfig } from './config/controller-config.ts'
import type { OperatorPersonConfig } from './config/operators-config.ts'
import type { SiteConfig, TlsIdentity } from './config/site-config.ts'
import { createConsoleFeed } from './console/console-feed.ts'
import { type ConsoleServer, createConsoleServer } from './console/console-server.ts'
import { ControllerView } from './console/controller-view.ts'
import type { HealthRow } from './console/sections.ts'
import { type ConsoleView, SiteView } from './console/site-view.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import type { Alarms } from './interface/alarm.ts'
import type { CertificateIdentity } from './interface/http.ts'
import type { IncidentDesk, IncidentView } from './interface/incident.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { NetworkController, NetworkStatus } from './interface/network-controller.ts'
import { OperatorBook } from './operators/operator-book.ts'
import { mayCall } from './operators/permissions.ts'
import type { Site } from './site.ts'
import { siteHealth } from './site-health.ts'
import { dialController } from './site-network.ts'
import { operatorEntry } from './site-operators.ts'

/** How long a controller may take to answer the console, in milliseconds; the map shows the own links until it does. */
const ANSWER_MS = 2_000

/** A console that serves, and where a browser finds it. */
export interface ServedConsole extends Closable {
  readonly url: string
}

/** What the console of a site shows besides its telemetry. */
export interface SiteConsoleParts {
  readonly site: Site
  readonly alarms: Pick<Alarms, 'list'>
  readonly incidents: Pick<IncidentDesk, 'list'>
  readonly auditLines: (() => number) | undefined
}

/** Opens the console of a running site. Close it before the site. */
export async function openSiteConsole(
  config: SiteConfig,
  at: ConsoleConfig,
  { site, alarms, incidents, auditLines }: SiteConsoleParts,
): Promise<ServedConsole> {
  const { siteId, tls, network, operators } = config
  const controller = network && dialController({ tls, network })
  const view = new SiteView({
    siteId,
    telemetry: site.telemetry,
    status: () => site.status(),
    network: controller && (() => controller.status({ signal: AbortSignal.timeout(ANSWER_MS) })),
    alarms: () => alarms.list(),
    incidents: openIncidents(incidents),
    health: () => health(config, site, auditLines),
  })
  return await serve(view, at, { tls, controller, people: operators?.people })
}

/** Opens the console of a controller, or of one of its replicas. `status` gives undefined while another one plans. */
export async function openControllerConsole(
  { controllerId, tls }: Pick<ControllerConfig, 'controllerId' | 'tls'>,
  at: ConsoleConfig,
  { status }: { status: () => Promise<NetworkStatus | undefined> },
): Promise<ServedConsole> {
  return await serve(new ControllerView({ controllerId, status }), at, { tls })
}

/** A replica that does not own the pools has no incidents, and hears of all when it comes to own them. */
function openIncidents(incidents: Pick<IncidentDesk, 'list'>): readonly IncidentView[] {
  try {
    return incidents.list()
  } catch {
    return []
  }
}

interface ConsoleParts {
  readonly tls: TlsIdentity
  readonly controller?: NetworkController | undefined
  /** Who looks after the site: those whose role lets them read the console may see it too. */
  readonly people?: readonly OperatorPersonConfig[] | undefined
}

async function serve(
  view: ConsoleView,
  { host, port, viewers }: ConsoleConfig,
  { tls, controller, people }: ConsoleParts,
): Promise<ServedConsole> {
  let server: ConsoleServer | undefined
  const close = async () => {
    await server?.close()
    await controller?.close()
  }
  try {
    const isViewer = viewerCheck(viewers, people)
    const feed = createConsoleFeed({ view })
    server = createConsoleServer({ feed, host, port, ...(isViewer && { tls: { ...tls, isViewer } }) })
    await server.listen()
    return { url: server.url, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Undefined where nobody is named: then it is plain HTTP, for this machine. */
function viewerCheck(
  viewers: readonly string[] | undefined,
  people: readonly OperatorPersonConfig[] | undefined,
): ((identity: CertificateIdentity) => boolean) | undefined {
  if (viewers === undefined) return undefined
  const book = new OperatorBook((people ?? []).map(operatorEntry))
  return identity =>
    viewers.some(name => isKmeCertificate(identity, name)) || mayCall('console', book.identify(identity).roles)
}

function health(config: SiteConfig, site: Site, auditLines: (() => number) | undefined): Promise<readonly HealthRow[]> {
  return siteHealth({
    config,
    pools: () => site.status().pools,
    readings: () => site.telemetry.readings(),
    auditLines,
  })
}
