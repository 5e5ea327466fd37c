import { dialTlsChannel } from './channel/tls-dial.ts'
import { createTlsChannelListener } from './channel/tls-listener.ts'
import type { LinkConfig } from './config/link-config.ts'
import type { ServiceConfig } from './config/services-config.ts'
import type { SiteConfig } from './config/site-config.ts'
import { InvalidArgumentError } from './errors.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import type { CertificateIdentity } from './interface/http.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { Link, LinkStatus } from './interface/link.ts'
import type { Logger } from './interface/logger.ts'
import type { Telemetry } from './interface/telemetry.ts'
import { BLOCK_BYTES } from './key/cells.ts'
import { LinkShelf } from './qll/remote/link-shelf.ts'
import { createRemoteLink } from './qll/remote/remote-link.ts'
import { serveLink } from './qll/remote/serve-link.ts'
import { openLink } from './site-links.ts'
import { createRoleOpsServer } from './site-ops.ts'
import { TelemetryHub } from './telemetry.ts'
import type { ListenAddress } from './util/listen.ts'
import { Opened } from './util/opened.ts'

/** The ends of a site's links as a process of their own. */
export interface LinkService extends Closable {
  readonly siteId: string
  readonly telemetry: TelemetryHub
  readonly address: {
    /** Where the site's network layer connects. */
    readonly service: ListenAddress
    /** Where listening link ends wait, by link ID. */
    readonly links: Readonly<Record<string, ListenAddress>>
    readonly ops: ListenAddress | undefined
  }
  /** The state of each link end. */
  status(): readonly LinkStatus[]
}

/** Between the parts of a site, in milliseconds: who is silent for four of them is gone. */
const HEARTBEAT_MS = 1_000

/**
 * Runs the ends of a site's links and hands their key to the site's network layer, which it knows by the certificate of the
 * site. `service` is `services.links` of its configuration.
 * @throws {InvalidArgumentError} the configuration has none
 */
export async function createLinkService(
  config: SiteConfig,
  { logger }: { readonly logger?: Logger } = {},
): Promise<LinkService> {
  const { siteId, kmeId, services, tls } = config
  const service = services?.links
  if (service === undefined) {
    throw new InvalidArgumentError('services.links must say where the links wait for the network layer')
  }
  const opened = new Opened('link service')
  const telemetry = new TelemetryHub()
  const log = logger === undefined ? {} : { logger }
  try {
    const listening: Record<string, ListenAddress> = {}
    const shelves = new Map<string, LinkShelf>()
    for (const each of config.links) {
      const link = opened.add(await openLink(config, each, { telemetry, listening }))
      const shelf = new LinkShelf(link, telemetry)
      shelves.set(each.linkId, shelf)
      opened.add(closing(async () => shelf.clear()))
    }
    const ops =
      service.ops &&
      opened.add(createRoleOpsServer(service.ops, { siteId, telemetry, readiness: () => readinessOf(shelves) }))
    const listener = opened.add(
      createTlsChannelListener({
        ...tls,
        host: service.host,
        port: service.port,
        heartbeatMs: HEARTBEAT_MS,
        identify: identity => (isKmeCertificate(identity, kmeId) ? kmeId : undefined),
        onChannel: channel =>
          void serveLink(shelves, channel, { peerIds: [kmeId] }).catch((error: unknown) =>
            logger?.warn({ reason: String(error) }, 'The network layer broke the rules'),
          ),
        ...log,
      }),
    )
    const address = { service: await listener.listen(), links: listening, ops: await ops?.listen() }
    const status = () => [...shelves.values()].map(({ link }) => link.status())
    return { siteId, telemetry, address, status, ...closing(() => opened.close()) }
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}

/** The end of a link in that process, as the network layer of the site reaches it. */
export function dialLink(
  { siteId, kmeId, tls }: Pick<SiteConfig, 'siteId' | 'kmeId' | 'tls'>,
  { link, service, telemetry }: { link: LinkConfig; service: ServiceConfig; telemetry: Telemetry },
): Link {
  const { host, port } = service
  const identify = (identity: CertificateIdentity) => (isKmeCertificate(identity, kmeId) ? kmeId : undefined)
  return createRemoteLink({
    linkId: link.linkId,
    localSiteId: siteId,
    remoteSiteId: link.peerSiteId,
    expected: { ...EXPECTED[link.kind], blockSizeBytes: BLOCK_BYTES },
    dial: ({ signal }) =>
      dialTlsChannel({ ...tls, host, port, expectedPeerId: kmeId, identify, heartbeatMs: HEARTBEAT_MS, signal }),
    // The two are parts of one site, and mostly of one machine.
    backOff: { minMs: 50, maxMs: 1_000 },
    telemetry,
  })
}

/** What a link of each kind is, until it says so itself. */
const EXPECTED: Readonly<Record<LinkConfig['kind'], Pick<LinkStatus, 'kind' | 'secrecy' | 'simulated'>>> = {
  simulated: { kind: 'simulated', secrecy: 'none', simulated: true },
  bb84: { kind: 'fibre', secrecy: 'quantum', simulated: true },
  'free-space': { kind: 'free-space', secrecy: 'quantum', simulated: true },
  satellite: { kind: 'satellite', secrecy: 'quantum', simulated: true },
  'etsi-014': { kind: 'device', secrecy: 'quantum', simulated: false },
  replay: { kind: 'device', secrecy: 'quantum', simulated: false },
  'post-quantum': { kind: 'post-quantum', secrecy: 'computational', simulated: false },
}

/** It serves while one of its links is up at least. */
function readinessOf(shelves: ReadonlyMap<string, LinkShelf>): { ready: boolean; reasons: string[] } {
  const links = [...shelves.values()].map(({ link }) => link.status())
  const reasons = links.flatMap(({ linkId, state, reason }) =>
    state === 'up' ? [] : [`link ${linkId} is ${state}: ${reason}`],
  )
  return { ready: links.length === 0 || links.some(({ state }) => state !== 'down'), reasons }
}

function closing(end: () => Promise<void>): Closable {
  let over: Promise<void> | undefined
  const close = () => {
    over ??= end()
    return over
  }
  return { close, [Symbol.asyncDispose]: close }
}
