import { dirname, resolve } from 'node:path'
import { createAccessKms } from './client/profile-kms.ts'
import { configError } from './config/config-fault.ts'
import { checkFrontConfig, type FrontConfig, type FrontConfigFile, frontConfigSchema } from './config/front-config.ts'
import { readKmeTls } from './config/kme-tls-files.ts'
import { loadPolicyFile } from './config/policy-file.ts'
import { type Findings, readTlsFiles } from './config/tls-files.ts'
import { loadConfigFile } from './config.ts'
import { createEtsi014Handler } from './etsi014/handler.ts'
import { saeIdentifier } from './etsi014/sae-identity.ts'
import { createHttpsServer, type HttpsServer } from './http/https-server.ts'
import type { KmsDirectory } from './interface/kms.ts'
import type { AbortOptions, Closable } from './interface/lifecycle.ts'
import type { Logger } from './interface/logger.ts'
import type { PolicyFile } from './interface/policy.ts'
import { AuditFile } from './kms/audit/audit-file.ts'
import { FrontDirectory } from './kms/front/front-directory.ts'
import { createMetricsServer } from './metrics-server.ts'
import { TelemetryHub } from './telemetry.ts'
import type { ListenAddress } from './util/listen.ts'

/** Policy and audit of ours in front of the KMEs of others, at work. */
export interface Front extends KmsDirectory, Closable {
  readonly siteId: string
  readonly telemetry: TelemetryHub
  readonly address: {
    /** The ETSI GS QKD 014 server, for the site's hosts. */
    readonly etsi014: ListenAddress & { readonly url: string }
    /** Health, readiness and metrics; undefined where the configuration has none. */
    readonly ops: ListenAddress | undefined
  }
  /** Decides by another policy from now on, which must have passed its checks. No request is dropped for it. */
  setPolicy(policy: PolicyFile): void
}

/** A configuration that was read and checked, with what a person should hear of it all the same. */
export interface LoadedFrontConfig {
  readonly config: FrontConfig
  /** Absolute path of the policy file, where there is one. */
  readonly policyPath: string | undefined
  readonly warnings: readonly string[]
}

/**
 * Starts a front from its configuration. Resolves when it serves; the KMEs behind it are connected as they are asked.
 * @throws {InvalidArgumentError} credentials can't be used
 */
export async function createFront(config: FrontConfig, { logger }: { readonly logger?: Logger } = {}): Promise<Front> {
  const opened: Closable[] = []
  const close = async () => {
    for (const closable of opened.splice(0).reverse()) await closable.close()
  }
  const add = <T extends Closable>(closable: T): T => {
    opened.push(closable)
    return closable
  }
  const { siteId, kmeId } = config
  const telemetry = new TelemetryHub()
  const log = logger === undefined ? {} : { logger }
  try {
    const audit = config.audit && add(await AuditFile.open(config.audit.file, { siteId }))
    const directory = add(
      new FrontDirectory({
        local: { siteId, kmeId, saeIds: config.saes.map(({ saeId }) => saeId) },
        peers: config.kmes.map(({ peerSiteId, saes, level, trustClass, ...access }) => ({
          siteId: peerSiteId,
          kmeId: access.kmeId ?? peerSiteId,
          saeIds: saes,
          level,
          trustClass,
          open: saeId => createAccessKms({ ...access, tls: tlsOf(config, saeId) }, { saeId, ...log }),
        })),
        keys: config.keys,
        ...(config.policy && { policy: config.policy }),
        ...(audit && { audit }),
        telemetry,
        ...log,
      }),
    )
    const server = add(createServer(config, directory, logger))
    await server.listen()
    const ops = config.ops && (await add(createOps(config, telemetry)).listen())
    let closing: Promise<void> | undefined
    const end = () => {
      closing ??= close()
      return closing
    }
    return {
      siteId,
      telemetry,
      address: { etsi014: { ...server.address, url: server.url }, ops },
      kmsFor: saeId => directory.kmsFor(saeId),
      setPolicy: policy => {
        directory.setPolicy(policy)
        telemetry.emit({ type: 'policy', outcome: 'in-force', rules: policy.rules.length })
      },
      close: end,
      [Symbol.asyncDispose]: end,
    }
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

/**
 * Reads the configuration of a front, and the files that it names.
 * @throws {ConfigError} every fault at once, each with file, JSON pointer, what is wrong and the fix
 */
export async function loadFrontConfig(path: string, { signal }: AbortOptions = {}): Promise<LoadedFrontConfig> {
  const schema = { schema: frontConfigSchema, check: checkFrontConfig, ...(signal && { signal }) }
  const file = await loadConfigFile<FrontConfigFile>(path, schema)
  const baseDir = dirname(resolve(path))
  const findings: Findings = { faults: [], warnings: [] }
  const tls = await readTlsFiles(baseDir, file.tls, findings)
  const saes: FrontConfig['saes'][number][] = []
  for (const [index, { tls: files, ...sae }] of file.saes.entries()) {
    const identity = await readKmeTls(files, { baseDir, pointer: `/saes/${index}/tls`, findings })
    if (identity !== undefined) saes.push({ ...sae, tls: identity })
  }
  if (findings.faults.length > 0) throw configError(path, findings.faults)
  const { $schema: _, policy: policyFile, audit, ...rest } = file
  const policyPath = policyFile === undefined ? undefined : resolve(baseDir, policyFile.file)
  const policy = policyPath === undefined ? undefined : (await loadPolicyFile(policyPath)).file
  const config: FrontConfig = {
    ...rest,
    tls,
    saes,
    ...(policy && { policy }),
    ...(audit && { audit: { file: resolve(baseDir, audit.file) } }),
  }
  return { config, policyPath, warnings: findings.warnings.map(warning => `${path}: ${warning}`) }
}

function createServer(config: FrontConfig, directory: FrontDirectory, logger: Logger | undefined): HttpsServer {
  const { saeIdentity: sources, clientCertificate, maxConnections, ...options } = config.etsi014 ?? {}
  const log = logger === undefined ? {} : { logger }
  const saeIdentity = saeIdentifier(config.saes, sources)
  const handler = createEtsi014Handler({ ...options, directory, saeIdentity, ...log })
  const limits = {
    ...(clientCertificate !== undefined && { clientCertificate }),
    ...(maxConnections !== undefined && { maxConnections }),
    ...(options.bodyLimitBytes !== undefined && { bodyLimitBytes: options.bodyLimitBytes }),
  }
  return createHttpsServer({ ...config.tls, ...config.listen, ...limits, handler, ...log })
}

/** A front is ready as soon as it listens: whether the KMEs behind it are, only a request for keys would tell. */
function createOps({ ops, siteId }: FrontConfig, telemetry: TelemetryHub) {
  return createMetricsServer(telemetry, { ...ops!, labels: { site: siteId } })
}

function tlsOf({ saes }: FrontConfig, saeId: string) {
  return saes.find(sae => sae.saeId === saeId)!.tls
}
