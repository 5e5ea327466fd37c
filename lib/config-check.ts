import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { configError } from './config/config-fault.ts'
import { loadPolicyFile } from './config/policy-file.ts'
import type { ListenConfig, SiteConfig } from './config/site-config.ts'
import { type LoadSiteConfigOptions, loadControllerConfig, loadSiteConfig } from './config.ts'
import { ConfigError } from './errors.ts'
import { loadFrontConfig } from './front.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import { certificateIdentity } from './util/certificate-identity.ts'
import type { SchemaFault } from './util/json-schema.ts'
import { nearestName } from './util/nearest-name.ts'

/** What a configuration is for: all of a site or one part of it (one file for all four), a network's controller, or a front. */
export const CONFIG_ROLES = ['site', 'kms', 'qnl', 'link', 'controller', 'front'] as const
export type ConfigRole = (typeof CONFIG_ROLES)[number]

/** One thing that is wrong: in which file, at which JSON pointer, and what to do about it. */
export interface ConfigFault extends SchemaFault {
  readonly file: string
  /** `line:column`, where the file's kind tells it. */
  readonly place?: string
}

/** What there is to say of a configuration. */
export interface ConfigReport {
  readonly file: string
  readonly role: ConfigRole
  readonly ok: boolean
  readonly faults: readonly ConfigFault[]
  readonly warnings: readonly string[]
}

/** Options of `checkConfigFile`. */
export interface CheckConfigOptions extends LoadSiteConfigOptions {
  /** Default by the fields of the file: a site where it is neither a controller nor a front. */
  readonly role?: ConfigRole
}

/**
 * Reads a configuration with all the files that it names, as the role would at its start, and looks at what only shows later:
 * certificates that peers would refuse, hosts that a policy names and nobody knows, ports that are taken twice. Opens nothing.
 */
export async function checkConfigFile(path: string, options: CheckConfigOptions = {}): Promise<ConfigReport> {
  const role = options.role ?? (await roleOf(path))
  try {
    const { faults, warnings } = await checkAs(role, path, options)
    return { file: path, role, ok: faults.length === 0, faults, warnings }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { file: path, role, ok: false, faults: faultsOf(error, path), warnings: [] }
  }
}

interface Checked {
  readonly faults: ConfigFault[]
  readonly warnings: readonly string[]
}

async function checkAs(role: ConfigRole, path: string, options: CheckConfigOptions): Promise<Checked> {
  if (role === 'controller') return { faults: [], warnings: (await loadControllerConfig(path, options)).warnings }
  if (role === 'front') {
    const { config, policyPath, warnings } = await loadFrontConfig(path, options)
    const { saes, kmes } = config
    const peers = kmes.map(kme => ({ siteId: kme.peerSiteId, saes: kme.saes }))
    return { faults: policyPath === undefined ? [] : await checkNames(policyPath, { saes, peers }), warnings }
  }
  const { config, policyPath, warnings } = await loadSiteConfig(path, options)
  const own = [...checkRole(role, config), ...checkCertificates(config), ...checkPorts(config)]
  const faults = own.map(fault => ({ file: path, ...fault }))
  if (policyPath !== undefined) faults.push(...(await checkNames(policyPath, config)))
  return { faults, warnings }
}

/** A file that can't be read is told by the loader, in its own words. */
async function roleOf(path: string): Promise<ConfigRole> {
  const text = await readFile(path, 'utf8').catch(() => '{}')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'site'
  }
  const has = (field: string) => typeof value === 'object' && value !== null && field in value
  if (has('controllerId')) return 'controller'
  return has('kmes') ? 'front' : 'site'
}

function faultsOf({ details, message }: ConfigError, path: string): ConfigFault[] {
  const told = details.filter(
    (detail): detail is Record<string, unknown> & ConfigFault =>
      typeof detail.path === 'string' && typeof detail.message === 'string',
  )
  if (told.length === 0) return [{ file: path, path: '/', message }]
  return told.map(({ file = path, path: pointer, message: text, place }) => ({
    file,
    path: pointer,
    message: text,
    ...(place !== undefined && { place }),
  }))
}

/**
 * Throws unless the configuration says where the part of a site and its neighbours meet.
 * @throws {ConfigError} it does not
 */
export function requireRole(path: string, role: ConfigRole, config: Pick<SiteConfig, 'services' | 'network'>): void {
  const faults = checkRole(role, config)
  if (faults.length > 0) throw configError(path, faults)
}

/** What a part of a site needs to be one. */
function checkRole(role: ConfigRole, { services, network }: Pick<SiteConfig, 'services' | 'network'>): SchemaFault[] {
  const needsQnl = role === 'kms' || role === 'qnl'
  if (needsQnl && services?.qnl === undefined && network?.qnl === undefined) {
    const message = `field "qnl" is missing: it says where KMS and network layer of the site meet, as role "${role}" needs`
    return [{ path: '/services', message }]
  }
  if (role !== 'link' || services?.links !== undefined) return []
  const message =
    'field "links" is missing: it says where links and network layer of the site meet, as role "link" needs'
  return [{ path: '/services', message }]
}

/** What the other end of a connection would say of the site's certificate. */
function checkCertificates({ kmeId, tls }: SiteConfig): SchemaFault[] {
  const faults: SchemaFault[] = []
  const [certificate, ...between] = certificatesIn(tls.cert)
  const authorities = certificatesIn(tls.ca)
  if (certificate === undefined) return faults
  const identity = certificateIdentity(certificate)
  if (!isKmeCertificate(identity, kmeId)) {
    const named = identity.commonName ?? identity.uriSans[0] ?? 'nobody'
    const message = `names "${named}" and not kmeId "${kmeId}": other sites would refuse it; issue one that does, or correct kmeId`
    faults.push({ path: '/tls/cert', message })
  }
  const isSigned = [...between, ...authorities].some(authority => certificate.verify(authority.publicKey))
  if (!isSigned) {
    faults.push({ path: '/tls/cert', message: 'is not signed by /tls/ca; name the authority that signed it' })
  }
  for (const { validTo } of authorities) {
    if (Date.parse(validTo) >= Date.now()) continue
    faults.push({ path: '/tls/ca', message: `expired on ${validTo}; nothing that it signed is trusted any more` })
  }
  return faults
}

function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  return blocks.map(block => new X509Certificate(block))
}

/** Ports of one interface that two servers of this machine would take. */
function checkPorts(config: SiteConfig): SchemaFault[] {
  const { listen, peerListen, ops, skip, border, operators, console: page, network, services, store, links } = config
  const places: [string, ListenConfig | undefined][] = [
    ['/listen', listen],
    ['/peerListen', peerListen],
    ['/ops', ops],
    ['/skip/listen', skip?.listen],
    ['/border/listen', border?.listen],
    ['/operators/listen', operators?.listen],
    ['/console', page],
    ['/store/replica', store.kind === 'postgresql' ? store.replica : undefined],
    ['/network/listen', network?.listen],
    ['/services/qnl', services?.qnl],
    ['/services/qnl/ops', services?.qnl?.ops],
    ['/services/links', services?.links],
    ['/services/links/ops', services?.links?.ops],
    ...links.map((link, at): [string, ListenConfig | undefined] => [
      `/links/${at}`,
      link.kind !== 'replay' && link.role === 'listen' ? link : undefined,
    ]),
  ]
  const faults: SchemaFault[] = []
  const taken: { path: string; host: string; port: number }[] = []
  for (const [path, place] of places) {
    if (place === undefined || place.port === 0) continue
    const { host, port } = place
    const other = taken.find(each => each.port === port && (each.host === host || isAny(host) || isAny(each.host)))
    if (other === undefined) taken.push({ path, host, port })
    else
      faults.push({ path: `${path}/port`, message: `port ${port} is that of ${other.path} already; give it its own` })
  }
  return faults
}

function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

interface KnownNames {
  readonly saes: readonly { readonly saeId: string }[]
  readonly peers: readonly {
    readonly siteId: string
    readonly saes: readonly string[]
    readonly foreignSaes?: readonly string[]
  }[]
  readonly border?: { readonly domains: readonly { readonly saes: readonly string[] }[] } | undefined
}

/** Hosts and sites that the policy names whole and that the configuration does not have: such a rule never holds. */
async function checkNames(policyPath: string, { saes, peers, border }: KnownNames): Promise<ConfigFault[]> {
  const { file: policy, placeOf } = await loadPolicyFile(policyPath)
  const hosts = new Set([
    ...saes.map(({ saeId }) => saeId),
    ...peers.flatMap(peer => [...peer.saes, ...(peer.foreignSaes ?? [])]),
    ...(border?.domains ?? []).flatMap(domain => domain.saes),
  ])
  const sites = new Set(peers.map(({ siteId }) => siteId))
  const faults: ConfigFault[] = []
  const look = (names: readonly string[] | undefined, known: ReadonlySet<string>, what: string, pointer: string) => {
    for (const [at, name] of (names ?? []).entries()) {
      if (name.startsWith('@') || name.endsWith('*') || known.has(name)) continue
      const meant = nearestName(name, known)
      const fix = meant === undefined ? 'register it, or take it out' : `did you mean "${meant}"?`
      const path = `${pointer}/${at}`
      faults.push({
        file: policyPath,
        place: placeOf(path),
        path,
        message: `no ${what} is named "${name}" here; ${fix}`,
      })
    }
  }
  for (const [group, { saes: members }] of Object.entries(policy.groups ?? {})) {
    look(members, hosts, 'SAE', `/groups/${group}/saes`)
  }
  for (const [at, { match }] of policy.rules.entries()) {
    for (const side of ['master', 'slave'] as const) look(match?.[side], hosts, 'SAE', `/rules/${at}/match/${side}`)
    look(match?.peerSite, sites, 'other site', `/rules/${at}/match/peerSite`)
  }
  return faults
}
