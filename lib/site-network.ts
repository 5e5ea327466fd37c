import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { dialTlsChannel } from './channel/tls-dial.ts'
import { createTlsChannelListener } from './channel/tls-listener.ts'
import type { NetworkConfig, NetworkNodeConfig } from './config/network-config.ts'
import type { SiteConfig } from './config/site-config.ts'
import { dials } from './config/site-config-checks.ts'
import { InvalidArgumentError } from './errors.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import type { CertificateIdentity } from './interface/http.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { Link } from './interface/link.ts'
import type { Logger } from './interface/logger.ts'
import type { MessageChannel } from './interface/message-channel.ts'
import type { NetworkController } from './interface/network-controller.ts'
import type { Qnl } from './interface/qnl.ts'
import type { Telemetry } from './interface/telemetry.ts'
import { loadKeyEncryptionKey } from './kms/store/key-encryption-key.ts'
import { NeighbourWatch } from './qnl/control/neighbour-watch.ts'
import { NodeAgent } from './qnl/control/node-agent.ts'
import { PlanMemory } from './qnl/control/plan-memory.ts'
import { PlannedQnl } from './qnl/control/planned-qnl.ts'
import { createRemoteController } from './qnl/control/remote-controller.ts'
import { DirectQnl } from './qnl/direct-qnl.ts'
import { FileLinkStock } from './qnl/relay/file-link-stock.ts'
import { RelayNode } from './qnl/relay/relay-node.ts'
import { createRemoteQnl } from './qnl/remote-qnl.ts'
import { serveQnl } from './qnl/serve-qnl.ts'
import { dialLink } from './site-link-service.ts'
import { openLink } from './site-links.ts'
import { createRoleOpsServer } from './site-ops.ts'
import { TelemetryHub } from './telemetry.ts'
import type { ListenAddress } from './util/listen.ts'
import { Opened } from './util/opened.ts'

/** What a site's network layer is opened with. */
export interface SiteNetworkOptions {
  readonly telemetry: Telemetry
  readonly logger?: Logger
}

/** The network layer of a site, with the link ends below it. */
export interface SiteNetwork extends Closable {
  readonly qnl: Qnl
  /** Empty where the node is a process of its own. */
  readonly links: readonly Link[]
  readonly listening: Readonly<Record<string, ListenAddress>>
  /** Where the nodes of other sites connect; undefined without relays. */
  readonly nodeAddress: ListenAddress | undefined
}

/** Opens what `config` says: neighbours alone, a node of a network in this process, or the way to one elsewhere. */
export async function openSiteNetwork(config: SiteConfig, options: SiteNetworkOptions): Promise<SiteNetwork> {
  const apart = qnlAddress(config)
  if (apart === undefined) return await openLocal(config, options)
  const qnl = remoteQnl(config, apart, options)
  return assembled({ qnl, links: [], listening: {}, nodeAddress: undefined }, () => qnl.close())
}

/** A site's node as a process of its own. */
export interface NetworkNodeServer extends Closable {
  readonly siteId: string
  readonly telemetry: TelemetryHub
  readonly address: {
    /** Where the site's KMS connects. */
    readonly qnl: ListenAddress
    /** Where the nodes of other sites connect; undefined without relays. */
    readonly node: ListenAddress | undefined
    readonly links: Readonly<Record<string, ListenAddress>>
    readonly ops: ListenAddress | undefined
  }
}

/**
 * Runs the network layer of a site, and serves it to the site's KMS at `services.qnl` or `network.qnl`: the other half of a
 * site whose configuration names that address. The links are in this process, or at `services.links`.
 * @throws {InvalidArgumentError} the configuration names none
 */
export async function createNetworkNode(
  config: SiteConfig,
  { logger }: { logger?: Logger } = {},
): Promise<NetworkNodeServer> {
  const { siteId, kmeId, services } = config
  const apart = qnlAddress(config)
  if (apart === undefined) {
    throw new InvalidArgumentError(
      'services.qnl (or network.qnl) must say where the network layer waits for the KMS; without it the site runs its own',
    )
  }
  const opened = new Opened('network node')
  const telemetry = new TelemetryHub()
  const log = logger === undefined ? {} : { logger }
  try {
    const local = opened.add(await openLocal(config, { telemetry, ...log }))
    const listener = opened.add(
      createTlsChannelListener({
        ...config.tls,
        ...apart,
        identify: identity => (isKmeCertificate(identity, kmeId) ? kmeId : undefined),
        onChannel: channel =>
          void serveQnl(local.qnl, channel, { peerIds: [kmeId] }).catch((error: unknown) =>
            logger?.warn({ reason: String(error) }, 'The KMS broke the rules'),
          ),
        ...log,
      }),
    )
    const readiness = () => readinessOf(local.links)
    const ops =
      services?.qnl?.ops && opened.add(createRoleOpsServer(services.qnl.ops, { siteId, telemetry, readiness }))
    const qnl = await listener.listen()
    const address = { qnl, node: local.nodeAddress, links: local.listening, ops: await ops?.listen() }
    return closable({ siteId, telemetry, address }, { close: () => opened.close() })
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}

/** The controller of a network, as this site's certificate reaches it. `siteId` only for the node of the site. */
export function dialController(
  { tls, network }: Pick<SiteConfig, 'tls'> & { network: Pick<NetworkConfig, 'controllers'> },
  options: { siteId?: string; logger?: Logger } = {},
): NetworkController {
  return createRemoteController({
    ...options,
    dials: network.controllers.map(({ controllerId, host, port }) => ({ signal }) => {
      const identify = (identity: CertificateIdentity) =>
        isKmeCertificate(identity, controllerId) ? controllerId : undefined
      return dialTlsChannel({ ...tls, host, port, expectedPeerId: controllerId, identify, heartbeatMs: 1000, signal })
    }),
  })
}

async function openLocal(config: SiteConfig, { telemetry, logger }: SiteNetworkOptions): Promise<SiteNetwork> {
  const { siteId, network } = config
  const opened = new Opened('network')
  const log = logger === undefined ? {} : { logger }
  const listening: Record<string, ListenAddress> = {}
  const links: Link[] = []
  try {
    const service = config.services?.links
    for (const link of config.links) {
      const open = service
        ? dialLink(config, { link, service, telemetry })
        : openLink(config, link, { telemetry, listening })
      links.push(opened.add(await open))
    }
    if (network === undefined) {
      const qnl = opened.add(new DirectQnl({ siteId, links, telemetry }))
      return assembled({ qnl, links, listening, nodeAddress: undefined }, () => opened.close())
    }
    const neighbours = new NeighbourWatch()
    const { stock, memory } = await openState(network, opened)
    const node = opened.add(
      new RelayNode({
        siteId,
        links,
        partners: network.nodes.map(each => partner({ config, network, node: each, neighbours })),
        ...(network.split === undefined ? {} : { split: network.split }),
        telemetry,
        ...(stock === undefined ? {} : { stock }),
        ...log,
      }),
    )
    await node.open()
    const listener = opened.add(
      createTlsChannelListener({
        ...config.tls,
        ...network.listen,
        heartbeatMs: network.heartbeatMs,
        identify: identity => network.nodes.find(({ kmeId }) => isKmeCertificate(identity, kmeId))?.kmeId,
        onChannel: channel => node.accept(watched(network, neighbours, channel)),
        ...log,
      }),
    )
    const nodeAddress = await listener.listen()
    const controller = opened.add(dialController({ tls: config.tls, network }, { siteId, ...log }))
    const agent = opened.add(
      new NodeAgent({ node, controller, neighbours, ...(memory === undefined ? {} : { memory }) }),
    )
    return assembled({ qnl: new PlannedQnl(node, agent), links, listening, nodeAddress }, () => opened.close())
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}

async function openState({ state }: NetworkConfig, opened: Opened) {
  if (state === undefined) return { stock: undefined, memory: undefined }
  await mkdir(state.path, { recursive: true, mode: 0o700 })
  const kek = await loadKeyEncryptionKey(state.kek.file, { create: true })
  const stock = opened.add(await FileLinkStock.open(join(state.path, 'links'), { kek }))
  return { stock, memory: await PlanMemory.open(join(state.path, 'plan.json')) }
}

function partner(parts: {
  config: SiteConfig
  network: NetworkConfig
  node: NetworkNodeConfig
  neighbours: NeighbourWatch
}) {
  const { config, network, node, neighbours } = parts
  const { siteId, kmeId, host, port, domain, mode, announce } = node
  const known = {
    siteId,
    peerId: kmeId,
    ...(domain === undefined ? {} : { domain }),
    ...(mode === undefined ? {} : { mode }),
    ...(announce === undefined ? {} : { announce }),
  }
  if (!dials(config.siteId, siteId) || host === undefined || port === undefined) return known
  const identify = (identity: CertificateIdentity) => (isKmeCertificate(identity, kmeId) ? kmeId : undefined)
  const { heartbeatMs } = network
  const dial = async (signal: AbortSignal) =>
    neighbours.watch(
      siteId,
      await dialTlsChannel({ ...config.tls, host, port, expectedPeerId: kmeId, identify, heartbeatMs, signal }),
    )
  return { ...known, dial }
}

/** A channel that another node opened, under the eye of the watch. */
function watched({ nodes }: NetworkConfig, neighbours: NeighbourWatch, channel: MessageChannel): MessageChannel {
  const node = nodes.find(({ kmeId }) => kmeId === channel.peerId)
  return node === undefined ? channel : neighbours.watch(node.siteId, channel)
}

function remoteQnl(config: SiteConfig, { host, port }: ListenAddress, { logger }: SiteNetworkOptions): Qnl {
  const { siteId, kmeId, tls } = config
  const identify = (identity: CertificateIdentity) => (isKmeCertificate(identity, kmeId) ? kmeId : undefined)
  return createRemoteQnl({
    siteId,
    dial: ({ signal }) =>
      dialTlsChannel({ ...tls, host, port, expectedPeerId: kmeId, identify, heartbeatMs: 1000, signal }),
    ...(logger === undefined ? {} : { logger }),
  })
}

/** Where the network layer is a process of its own. */
function qnlAddress({ services, network }: SiteConfig): ListenAddress | undefined {
  const found = services?.qnl ?? network?.qnl
  return found && { host: found.host, port: found.port }
}

/** The network layer serves while one of its links is up at least. */
function readinessOf(links: readonly Link[]): { ready: boolean; reasons: string[] } {
  const states = links.map(link => link.status())
  const reasons = states.flatMap(({ linkId, state, reason }) =>
    state === 'up' ? [] : [`link ${linkId} is ${state}: ${reason}`],
  )
  return { ready: states.length === 0 || states.some(({ state }) => state !== 'down'), reasons }
}

function assembled(parts: Omit<SiteNetwork, keyof Closable>, close: () => Promise<void>): SiteNetwork {
  return closable(parts, { close })
}

function closable<T extends object>(parts: T, { close: end }: { close(): Promise<void> }): T & Closable {
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= end()
    return closing
  }
  return { ...parts, close, [Symbol.asyncDispose]: close }
}
