import { readFile } from 'node:fs/promises'
import type { TlsChannel } from './channel/tls-channel.ts'
import { createTlsChannelListener } from './channel/tls-listener.ts'
import type { ControllerConfig } from './config/controller-config.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import type { CertificateIdentity } from './interface/http.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { Logger } from './interface/logger.ts'
import type { NetworkController, NetworkEvent } from './interface/network-controller.ts'
import type { OperatorRole } from './interface/operator.ts'
import { AuditFile } from './kms/audit/audit-file.ts'
import { createNetworkGuard } from './operators/network-guard.ts'
import { type ControllerMemory, FileMemory } from './qnl/control/controller-memory.ts'
import { Election } from './qnl/control/election.ts'
import { EmbeddedController } from './qnl/control/embedded-controller.ts'
import { openPostgresSession } from './qnl/control/postgres-memory.ts'
import { type ControllerGuard, OWN_ALONE, serveController } from './qnl/control/serve-controller.ts'
import { openControllerConsole } from './site-console.ts'
import { debugLogger } from './util/debug-logger.ts'
import type { ListenAddress } from './util/listen.ts'
import { Opened } from './util/opened.ts'

/** What the caller may bring along. */
export interface ControllerServerOptions {
  readonly logger?: Logger
  /** Called with each event of the network while this replica leads. */
  readonly onEvent?: (event: NetworkEvent) => void
}

/** A running controller, or a replica of one that waits for its turn. */
export interface ControllerServer extends Closable {
  readonly controllerId: string
  readonly address: ListenAddress
  /** Where a browser finds its page; undefined where the configuration has none. */
  readonly consoleUrl: string | undefined
  /** True while this one plans: always for the only controller, with replicas for one of them. */
  readonly leading: boolean
}

/**
 * Runs the controller of a network, or one of its replicas. Resolves when nodes can connect; a replica that does not lead
 * closes their connections, so that they go on to the next one.
 * @throws {StoreError} the file with its epochs is damaged
 */
export async function createControllerServer(
  config: ControllerConfig,
  options: ControllerServerOptions = {},
): Promise<ControllerServer> {
  const opened = new Opened('controller')
  try {
    const { logger = debugLogger('qnl') } = options
    const leader = await openLeader(config, { ...options, logger }, opened)
    const { audit: at, controllerId: siteId } = config
    const audit = at && opened.add(await AuditFile.open(at.file, { siteId }))
    const guard = createNetworkGuard({ rolesOf: peerId => rolesOf(config, peerId), audit, logger, ownAlone: OWN_ALONE })
    const listener = opened.add(
      createTlsChannelListener({
        ...config.tls,
        ...config.listen,
        heartbeatMs: 1000,
        maxConnections: 2 * config.sites.length + 64,
        identify: identity => peerIdOf(config, identity),
        onChannel: channel => serve(config, { leader, channel, guard, logger }),
        logger,
      }),
    )
    const address = await listener.listen()
    const status = async () => leader.controller?.status()
    const page = config.console && opened.add(await openControllerConsole(config, config.console, { status }))
    let closing: Promise<void> | undefined
    const close = () => {
      closing ??= opened.close()
      return closing
    }
    return {
      controllerId: config.controllerId,
      address,
      consoleUrl: page?.url,
      get leading() {
        return leader.controller !== undefined
      },
      close,
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await opened.close().catch(() => {})
    throw error
  }
}

/** Whoever plans now, if it is this process. */
interface Leader {
  controller: NetworkController | undefined
  /** One for each connection, aborted when that one plans no more: its nodes look for the next. */
  readonly sessions: Set<AbortController>
}

async function openLeader(
  config: ControllerConfig,
  { logger, onEvent }: ControllerServerOptions & { logger: Logger },
  opened: Opened,
): Promise<Leader> {
  const { controllerId, sites, periodMs, state } = config
  const leader: Leader = { controller: undefined, sessions: new Set() }
  const lead = async (memory: ControllerMemory): Promise<Closable> => {
    const controller = await EmbeddedController.open({ controllerId, sites, periodMs, memory, logger })
    if (onEvent !== undefined) controller.onEvent(onEvent)
    leader.controller = controller
    const close = async () => {
      leader.controller = undefined
      for (const session of leader.sessions) session.abort()
      await controller.close()
    }
    return { close, [Symbol.asyncDispose]: close }
  }
  if (state.kind === 'file') {
    opened.add(await lead(await FileMemory.open(state.path)))
    return leader
  }
  const { url, passwordFile } = state
  const password = passwordFile === undefined ? {} : { password: (await readFile(passwordFile, 'utf8')).trim() }
  opened.add(new Election({ connect: () => openPostgresSession({ url, ...password }), lead, logger }))
  return leader
}

function serve(
  config: ControllerConfig,
  { leader, channel, guard, logger }: { leader: Leader; channel: TlsChannel; guard: ControllerGuard; logger: Logger },
): void {
  const { controllerId, sites } = config
  if (leader.controller === undefined) {
    void channel.close()
    return
  }
  const session = new AbortController()
  leader.sessions.add(session)
  const ended = serveController(leader.controller, channel, {
    controllerId,
    signal: session.signal,
    siteOf: peerId => sites.find(({ kmeId }) => kmeId === peerId)?.siteId,
    isOperator: peerId => rolesOf(config, peerId).length > 0,
    guard,
  })
  ended
    .catch((error: unknown) => logger.warn({ peer: channel.peerId, reason: String(error) }, 'A node was refused'))
    .finally(() => leader.sessions.delete(session))
}

function peerIdOf(
  { controllerId, sites, operators }: ControllerConfig,
  identity: CertificateIdentity,
): string | undefined {
  const people = operators.map(operator => (typeof operator === 'string' ? operator : operator.name))
  const names = [...sites.map(({ kmeId }) => kmeId), ...people, controllerId]
  return names.find(name => isKmeCertificate(identity, name))
}

/** Roles of who looks after the network; none for nodes of sites. */
function rolesOf({ controllerId, operators }: ControllerConfig, peerId: string): readonly OperatorRole[] {
  // Who has the controller's own certificate runs it.
  if (peerId === controllerId) return ['operator']
  return operators.flatMap(operator => {
    if (typeof operator === 'string') return operator === peerId ? (['operator'] as const) : []
    return operator.name === peerId ? operator.roles : []
  })
}
