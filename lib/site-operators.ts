import { setTimeout as pause } from 'node:timers/promises'
import type { OperatorPersonConfig } from './config/operators-config.ts'
import { loadPolicyFile } from './config/policy-file.ts'
import type { SiteConfig } from './config/site-config.ts'
import { InvalidArgumentError, StoreError } from './errors.ts'
import { createHttpsServer } from './http/https-server.ts'
import { createSocketServer } from './http/socket-server.ts'
import type { Alarms } from './interface/alarm.ts'
import type { AuditLog } from './interface/audit.ts'
import type { Logger } from './interface/logger.ts'
import type { OperatorCall, OperatorCalls, OperatorIdentity, OperatorRole } from './interface/operator.ts'
import type { PolicyFile } from './interface/policy.ts'
import { hasNextKek, proposeNextKek } from './kms/store/next-kek.ts'
import { OperatorBook, type OperatorCertificate } from './operators/operator-book.ts'
import { OperatorDesk } from './operators/operator-desk.ts'
import { createOperatorHandler } from './operators/operator-handler.ts'
import type { Site } from './site.ts'
import { debugLogger } from './util/debug-logger.ts'
import type { ListenAddress } from './util/listen.ts'
import type { Opened } from './util/opened.ts'

const ALL_ROLES: readonly OperatorRole[] = ['operator', 'auditor', 'enroller', 'security-officer']
/** How long a change of the key encryption key may take while a caller waits, in milliseconds. */
const REKEY_MS = 60_000
const LOOK_EVERY_MS = 100

/** What the calls of a site are made from. */
interface SiteCallsParts {
  readonly calls: OperatorCalls
  readonly alarms: Alarms
  /** Number and hash of the last line of the audit log; undefined where there is none. */
  readonly auditHead: (() => { readonly n: number; readonly link: string }) | undefined
  /** Reads and checks the policy's file; undefined where the site has none. */
  readonly readPolicy: (() => Promise<PolicyFile>) | undefined
}

/** The calls that every site answers. */
function registerSiteCalls(config: SiteConfig, site: Site, parts: SiteCallsParts): void {
  const { calls, alarms, auditHead, readPolicy } = parts
  const register = <A>(call: OperatorCall<A>) => calls.register(call)
  register({
    name: 'status',
    schema: NO_ARGUMENTS,
    run: async () => ({ ...site.status(), gauges: site.telemetry.readings(), alarms: alarms.list() }),
  })
  register({
    name: 'alarm-list',
    schema: NO_ARGUMENTS,
    run: async () => ({ siteId: site.siteId, alarms: alarms.list() }),
  })
  register<{ id: string; note?: string }>({
    name: 'alarm-acknowledge',
    schema: fields({ id: { type: 'string', maxLength: 1_024 }, note: { type: 'string', maxLength: 1_024 } }, ['id']),
    run: ({ id, note }, { operator }) => alarms.acknowledge(id, operator, note === undefined ? {} : { note }),
  })
  register({
    name: 'secrets-refresh',
    schema: NO_ARGUMENTS,
    run: async () => {
      site.refreshSecrets()
      return { peers: site.status().pools.map(({ remoteSiteId }) => remoteSiteId) }
    },
  })
  register({
    name: 'policy-reload',
    schema: NO_ARGUMENTS,
    run: async () => {
      if (readPolicy === undefined) throw new InvalidArgumentError('This site has no policy file')
      const policy = await readPolicy()
      site.setPolicy(policy)
      return { rules: policy.rules.length }
    },
  })
  register({ name: 'store-rekey', schema: NO_ARGUMENTS, run: (_, { signal }) => rekey(config, signal) })
  register({
    name: 'sae-list',
    schema: NO_ARGUMENTS,
    run: async () => ({
      siteId: config.siteId,
      saes: config.saes.map(({ saeId }) => saeId),
      peers: config.peers.map(({ siteId, saes }) => ({ siteId, saes })),
    }),
  })
  register({
    name: 'audit-head',
    schema: NO_ARGUMENTS,
    run: async () => {
      if (auditHead === undefined) throw new InvalidArgumentError('This site has no audit log')
      return auditHead()
    },
  })
}

/** What the operators of a site are given. */
export interface SiteOperatorsParts extends Pick<SiteCallsParts, 'alarms' | 'auditHead'> {
  readonly opened: Opened
  readonly audit: AuditLog | undefined
  readonly policyPath: string | undefined
  readonly logger: Logger | undefined
}

/** Makes the desk of a site, with the calls that every site has, and serves it as the configuration says. */
export async function openSiteOperators(
  config: SiteConfig,
  site: Site,
  { opened, audit, policyPath, logger = debugLogger('operators'), ...parts }: SiteOperatorsParts,
): Promise<{ calls: OperatorCalls; address: OperatorAddress | undefined }> {
  const calls = new OperatorDesk({ audit, logger })
  const readPolicy = policyPath === undefined ? undefined : async () => (await loadPolicyFile(policyPath)).file
  registerSiteCalls(config, site, { calls, readPolicy, ...parts })
  return { calls, address: await serveOperators(config, { calls, opened, logger }) }
}

/** Where operators reach a site. */
export interface OperatorAddress {
  readonly socket: string | undefined
  readonly tls: (ListenAddress & { readonly url: string }) | undefined
}

/** Serves the calls at a unix socket and over mutual TLS, as the configuration says; undefined where it says nothing. */
async function serveOperators(
  { operators, tls }: SiteConfig,
  { calls, opened, logger }: { calls: OperatorCalls; opened: Opened; logger: Logger },
): Promise<OperatorAddress | undefined> {
  if (operators === undefined) return undefined
  const { socket, socketMode = '0600', socketRoles: roles = ALL_ROLES, listen, people = [] } = operators
  if (socket !== undefined) {
    const local: OperatorIdentity = { name: 'unix socket', roles, by: 'socket' }
    const handler = createOperatorHandler({ calls, identify: () => local, logger })
    const mode = socketMode === '0660' ? 0o660 : 0o600
    await opened.add(createSocketServer({ path: socket, mode, handler })).listen()
  }
  if (listen === undefined) return { socket, tls: undefined }
  const book = new OperatorBook(people.map(operatorEntry))
  const handler = createOperatorHandler({ calls, identify: ({ identity }) => book.identify(identity), logger })
  const server = opened.add(
    createHttpsServer({ ...tls, ...listen, handler, minVersion: 'TLSv1.3', maxConnections: 64, logger }),
  )
  await server.listen()
  return { socket, tls: { ...server.address, url: server.url } }
}

/** A person of the configuration, as certificates are compared with them. */
export function operatorEntry({ name, roles, fingerprint256, commonName, uri }: OperatorPersonConfig) {
  const certificate: OperatorCertificate =
    fingerprint256 !== undefined ? { fingerprint256 } : commonName !== undefined ? { commonName } : { uri: uri! }
  return { name, roles, certificate }
}

/** Proposes another key encryption key to the watcher of the store, and waits until it is in use. */
async function rekey({ store }: SiteConfig, signal: AbortSignal): Promise<{ changed: true }> {
  if (store.kind === 'memory' || !('file' in store.kek))
    throw new InvalidArgumentError('Only a key encryption key of kind "file" is changed by this call')
  const { file } = store.kek
  await proposeNextKek(file)
  const endsAtMs = performance.now() + REKEY_MS
  while (await hasNextKek(file)) {
    if (performance.now() > endsAtMs)
      throw new StoreError(
        `The store did not take the new key within ${REKEY_MS / 1000} s; the log of the site says why`,
      )
    await pause(LOOK_EVERY_MS, undefined, { signal })
  }
  return { changed: true }
}

const NO_ARGUMENTS = fields({})

function fields(properties: Record<string, unknown>, required: readonly string[] = []): Record<string, unknown> {
  return { type: 'object', properties, required, additionalProperties: false }
}
