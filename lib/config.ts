import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { configError, withExpectation } from './config/config-fault.ts'
import {
  type ControllerConfig,
  type ControllerConfigFile,
  checkControllerConfig,
  controllerConfigSchema,
} from './config/controller-config.ts'
import { parseJsonText } from './config/json-text.ts'
import { checkKekFile } from './config/kek-config.ts'
import type { KmeTlsFiles } from './config/kme-access.ts'
import { readDeviceTls, readKmeTls } from './config/kme-tls-files.ts'
import { withLinkDefaults } from './config/link-config.ts'
import { readMlDsaFiles } from './config/ml-dsa-files.ts'
import type { NetworkConfig } from './config/network-config.ts'
import { type OperatorConfig, type OperatorConfigFile, operatorConfigSchema } from './config/operator-config.ts'
import { loadPolicyFile } from './config/policy-file.ts'
import { readSkip } from './config/psk-file.ts'
import { readAlarms } from './config/read-alarms.ts'
import {
  checkSaeProfile,
  type PeerKme,
  type SaeProfile,
  type SaeProfileFile,
  saeProfileSchema,
} from './config/sae-profile.ts'
import { type SiteConfig, type SiteConfigFile, siteConfigSchema, type TlsIdentity } from './config/site-config.ts'
import { checkSiteConfig, dials } from './config/site-config-checks.ts'
import { resolveStore } from './config/store-config.ts'
import { type Findings, openToOthers, readIdentity, readTlsFiles, unreadable } from './config/tls-files.ts'
import { ConfigError } from './errors.ts'
import type { AbortOptions } from './interface/lifecycle.ts'
import { compileSchema, type JsonSchema, type SchemaFault } from './util/json-schema.ts'

/** A configuration that was read and checked, with what a person should hear of it all the same. */
export interface LoadedSiteConfig {
  readonly config: SiteConfig
  /** Absolute path of the policy file, where there is one. */
  readonly policyPath: string | undefined
  /** Each names file and field, such as a private key that others may read. */
  readonly warnings: readonly string[]
}

/** No site needs more; a file that is larger is not a configuration. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024

const check = compileSchema<SiteConfigFile>(siteConfigSchema)
const checkProfile = compileSchema<SaeProfileFile>(saeProfileSchema)

/** Options of `loadSiteConfig`. */
export interface LoadSiteConfigOptions extends AbortOptions {
  /** Where systemd laid the credentials of this process ($CREDENTIALS_DIRECTORY). Default: it was given none. */
  readonly credentialsDirectory?: string
}

/**
 * Reads a site's configuration: JSON by `siteConfigSchema`, then what belongs together, then the files it names.
 * @throws {ConfigError} every fault at once, each with file, JSON pointer, what is wrong and the fix
 */
export async function loadSiteConfig(path: string, options: LoadSiteConfigOptions = {}): Promise<LoadedSiteConfig> {
  const file = await readConfigFile(path, options)
  const checked = check(file)
  if (!checked.ok)
    throw configError(
      path,
      checked.faults.map(fault => withExpectation(siteConfigSchema, fault)),
    )
  return resolveSiteConfig(path, checked.value, options)
}

/** A host's profile that was read and checked, with what a person should hear of it all the same. */
export interface LoadedSaeProfile {
  readonly profile: SaeProfile
  readonly warnings: readonly string[]
}

/**
 * Reads a host's profile, as `qkd pki init` writes it.
 * @throws {ConfigError} every fault at once, each with file, JSON pointer, what is wrong and the fix
 */
export async function loadSaeProfile(path: string, options: AbortOptions = {}): Promise<LoadedSaeProfile> {
  const file = await readConfigFile(path, options)
  const checked = checkProfile(file)
  if (!checked.ok)
    throw configError(
      path,
      checked.faults.map(fault => withExpectation(saeProfileSchema, fault)),
    )
  const { $schema: _, tls: files, peerKmes, ...fields } = checked.value
  const findings: Findings = { faults: checkSaeProfile(checked.value), warnings: [] }
  const baseDir = dirname(resolve(path))
  const tls = await readKmeTls(files, { baseDir, pointer: '/tls', findings })
  const peers: (PeerKme | undefined)[] = []
  for (const [index, { tls: own, ...peer }] of (peerKmes ?? []).entries()) {
    const place = { baseDir, pointer: `/peerKmes/${index}/tls`, findings }
    const identity = own === undefined ? tls : await readKmeTls(own, place)
    peers.push(identity && { ...peer, tls: identity })
  }
  if (findings.faults.length > 0 || tls === undefined) throw configError(path, findings.faults)
  const others = peerKmes === undefined ? {} : { peerKmes: peers.filter(peer => peer !== undefined) }
  const profile = { ...fields, tls, ...others }
  return { profile, warnings: findings.warnings.map(warning => `${path}: ${warning}`) }
}

/**
 * Certificate, key and authority as PEM text from the files that a KME's vendor hands out: PEM, or one PKCS #12 file.
 * Paths are relative to the working directory. `nameOf` is how the caller's user knows a field.
 * @throws {ConfigError} every fault at once, each with the file, what is wrong and the fix
 */
export async function readKmeTlsFiles(
  files: KmeTlsFiles,
  { nameOf = field => field }: { readonly nameOf?: (field: keyof KmeTlsFiles) => string } = {},
): Promise<{ tls: TlsIdentity; warnings: readonly string[] }> {
  const findings: Findings = { faults: [], warnings: [] }
  const tls = await readKmeTls(files, { baseDir: '.', pointer: '', findings })
  const worded = (text: string) => text.replaceAll(/^\/(\w+)(?=:)/g, (_, field: keyof KmeTlsFiles) => nameOf(field))
  if (tls === undefined) {
    const faults = findings.faults.map(({ path, message }) => worded(path === '' ? message : `${path}: ${message}`))
    throw new ConfigError(faults.join('; '), { details: findings.faults.map(fault => ({ ...fault })) })
  }
  return { tls, warnings: findings.warnings.map(worded) }
}

/** A controller's configuration that was read and checked, with what a person should hear of it all the same. */
export interface LoadedControllerConfig {
  readonly config: ControllerConfig
  readonly warnings: readonly string[]
}

/**
 * Reads the configuration of a network's controller, and the files it names.
 * @throws {ConfigError} every fault at once, each with file, JSON pointer, what is wrong and the fix
 */
export async function loadControllerConfig(path: string, options: AbortOptions = {}): Promise<LoadedControllerConfig> {
  const file = await loadConfigFile<ControllerConfigFile>(path, {
    schema: controllerConfigSchema,
    check: checkControllerConfig,
    ...options,
  })
  const baseDir = dirname(resolve(path))
  const findings: Findings = { faults: [], warnings: [] }
  const tls = await readTlsFiles(baseDir, file.tls, findings)
  const { $schema: _, state, ...rest } = file
  const placed =
    state.kind === 'file'
      ? { ...state, path: resolve(baseDir, state.path) }
      : { ...state, ...(state.passwordFile && { passwordFile: resolve(baseDir, state.passwordFile) }) }
  if (placed.kind === 'postgresql' && placed.passwordFile !== undefined) {
    const open = await openToOthers(placed.passwordFile).catch(error => unreadable(placed.passwordFile!, error))
    if (open !== undefined) findings.faults.push({ path: '/state/passwordFile', message: open })
  }
  if (findings.faults.length > 0) throw configError(path, findings.faults)
  // The check has filled in every default of the schema.
  const { audit } = rest
  const log = audit === undefined ? {} : { audit: { file: resolve(baseDir, audit.file) } }
  const config = { ...(rest as Omit<ControllerConfig, 'state' | 'tls'>), ...log, tls, state: placed }
  return { config, warnings: findings.warnings.map(warning => `${path}: ${warning}`) }
}

/**
 * How to reach the controllers of a network, from any file that says so: an operator's own, a site's configuration with
 * `network`, or the configuration of a controller.
 * @throws {ConfigError} every fault at once; or the file is none of these
 */
export async function loadOperatorConfig(path: string, options: AbortOptions = {}): Promise<OperatorConfig> {
  const value = await readConfigFile(path, options)
  const has = (field: string) => typeof value === 'object' && value !== null && field in value
  if (has('controllerId')) {
    const { controllerId, listen, tls } = (await loadControllerConfig(path, options)).config
    const host = listen.host === '0.0.0.0' || listen.host === '::' ? 'localhost' : listen.host
    return { tls, controllers: [{ controllerId, host, port: listen.port }] }
  }
  if (has('siteId')) {
    const { siteId, tls, network } = (await loadSiteConfig(path, options)).config
    if (network !== undefined) return { tls, controllers: network.controllers, siteId }
    throw new ConfigError(`${path}: /: field "network" is missing; it says where the controller is`)
  }
  const file = await loadConfigFile<OperatorConfigFile>(path, { schema: operatorConfigSchema, ...options })
  const findings: Findings = { faults: [], warnings: [] }
  const tls = await readTlsFiles(dirname(resolve(path)), file.tls, findings)
  if (findings.faults.length > 0) throw configError(path, findings.faults)
  const { controllers = [], site } = file
  return { tls, controllers, ...(site && { site }) }
}

/** Options of `loadConfigFile`. */
export interface LoadConfigFileOptions<T> extends AbortOptions {
  /** Draft 2020-12; each field says in `description` what it takes, and defaults are filled in. */
  readonly schema: JsonSchema
  /** What no schema can say; every fault with its JSON pointer. Default: nothing more. */
  readonly check?: (value: T) => readonly SchemaFault[]
}

/**
 * Reads the configuration file of an integration: JSON by a schema of its own.
 * @throws {ConfigError} every fault at once, each with file, JSON pointer, what is wrong and the fix
 */
export async function loadConfigFile<T>(path: string, options: LoadConfigFileOptions<T>): Promise<T> {
  const { schema, check: further = () => [], signal } = options
  const checked = compileSchema<T>(schema)(await readConfigFile(path, { signal }))
  const faults = checked.ok ? further(checked.value) : checked.faults.map(fault => withExpectation(schema, fault))
  if (!checked.ok || faults.length > 0) throw configError(path, faults)
  return checked.value
}

/**
 * The JSON value of a configuration file.
 * @throws {ConfigError} it can't be read, is too large, or is not JSON (with line and column)
 */
async function readConfigFile(path: string, { signal }: AbortOptions = {}): Promise<unknown> {
  try {
    if ((await stat(path)).size > MAX_CONFIG_BYTES)
      throw new ConfigError(`${path}: larger than ${MAX_CONFIG_BYTES} bytes`)
    return parseJsonText(path, await readFile(path, { encoding: 'utf8', signal }))
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof ConfigError) throw error
    throw new ConfigError(unreadable(path, error), { cause: error })
  }
}

async function resolveSiteConfig(
  path: string,
  file: SiteConfigFile,
  { credentialsDirectory }: LoadSiteConfigOptions,
): Promise<LoadedSiteConfig> {
  const baseDir = dirname(resolve(path))
  const findings: Findings = { faults: checkSiteConfig(file), warnings: [] }
  const tls = await readTlsFiles(baseDir, file.tls, findings)
  const mlDsa = file.mlDsa === undefined ? {} : { mlDsa: await readMlDsaFiles(baseDir, file.mlDsa, findings) }
  const skip = file.skip === undefined ? {} : { skip: await readSkip(baseDir, file.skip, findings) }
  const devices = await readDeviceTls(baseDir, file.links, findings)
  const border = file.border === undefined ? {} : { border: await readBorder(baseDir, file.border, findings) }
  const alarms = file.alarms === undefined ? {} : { alarms: await readAlarms(baseDir, file.alarms, findings) }
  const place = { file: path, baseDir, ...(credentialsDirectory && { credentialsDirectory }) }
  const store = await resolveStore(file.store, place, findings.faults)
  const { network } = resolveNetwork(baseDir, file)
  if (network?.state !== undefined)
    await checkKekFile(network.state.kek.file, '/network/state/kek/file', findings.faults)
  if (findings.faults.length > 0) throw configError(path, findings.faults)
  const { $schema: _, policy: policyFile, ...rest } = file
  const policyPath = policyFile === undefined ? undefined : resolve(baseDir, policyFile.file)
  const policy = policyPath === undefined ? undefined : (await loadPolicyFile(policyPath)).file
  // The check has filled in every default of the schema.
  const page = rest.console as SiteConfig['console']
  const config = {
    ...(rest as Omit<SiteConfig, 'links' | 'skip' | 'border' | 'network' | 'alarms' | 'operators'>),
    tls,
    ...mlDsa,
    ...skip,
    ...border,
    ...alarms,
    ...resolveOperators(baseDir, file),
    ...resolveNetwork(baseDir, file),
    store,
    links: file.links.map((link, index) =>
      withLinkDefaults(link, {
        defaultRole: dials(file.siteId, link.peerSiteId) ? 'connect' : 'listen',
        pathOf: path => resolve(baseDir, path),
        deviceTls: devices[index],
      }),
    ),
    ...(policy === undefined ? {} : { policy }),
    ...(file.audit === undefined ? {} : { audit: { file: resolve(baseDir, file.audit.file) } }),
    ...(page?.backups === undefined ? {} : { console: { ...page, backups: resolve(baseDir, page.backups) } }),
  }
  return { config, policyPath, warnings: findings.warnings.map(warning => `${path}: ${warning}`) }
}

/** `border` with its TLS files read; the checks have filled in the defaults of the schema. */
async function readBorder(
  baseDir: string,
  { tls: files, ...border }: NonNullable<SiteConfigFile['border']>,
  findings: Findings,
): Promise<NonNullable<SiteConfig['border']>> {
  const tls = files && (await readIdentity(baseDir, files, { pointer: '/border/tls', findings }))
  return { ...(border as NonNullable<SiteConfig['border']>), ...(tls && { tls }) }
}

function resolveNetwork(baseDir: string, { network }: SiteConfigFile): { network?: NetworkConfig } {
  if (network === undefined) return {}
  // The check has filled in every default of the schema.
  const { state, ...rest } = network as NetworkConfig
  if (state === undefined) return { network: rest }
  const place = { path: resolve(baseDir, state.path), kek: { file: resolve(baseDir, state.kek.file) } }
  return { network: { ...rest, state: place } }
}

/** `operators` with its socket's path absolute; the check has filled in every default of the schema. */
function resolveOperators(baseDir: string, { operators }: SiteConfigFile): Pick<SiteConfig, 'operators'> {
  if (operators === undefined) return {}
  const { socket, ...rest } = operators as NonNullable<SiteConfig['operators']>
  return { operators: { ...rest, ...(socket !== undefined && { socket: resolve(baseDir, socket) }) } }
}
