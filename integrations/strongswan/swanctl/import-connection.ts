import { ConfigError } from '../../../lib/index.ts'
import type { IpsecRole } from '../agent-config.ts'
import { readSettings, type SettingsSection, sectionAt } from '../doctor/settings-file.ts'

/** What swanctl.conf does not say. */
export interface ImportOptions {
  /** Name of the connection in swanctl.conf; needed where there are several. */
  readonly connection?: string
  /** SAE ID of the host at the other gateway. */
  readonly peer: string
  readonly role: IpsecRole
}

/** An entry for `connections` of the agent's configuration, as JSON has it. */
export type ImportedConnection = Readonly<Record<string, unknown>>

/** Settings that the agent has fields of its own for, or sets itself. */
const OWN = new Set([
  'version',
  'local_addrs',
  'remote_addrs',
  'proposals',
  'ppk_id',
  'ppk_required',
  'mobike',
  'unique',
])
const OWN_OF_CHILD = new Set(['local_ts', 'remote_ts', 'esp_proposals', 'start_action'])
const MAX_NAME = 32
const SUFFIX = '-qkd'
const LISTS = /^(vips|pools|groups|certs|cacerts)$/

/**
 * Turns a connection of a swanctl.conf that works into an entry of the agent's configuration.
 * @throws {ConfigError} the file can't be read, the connection isn't there, or it has what the agent can't keep
 */
export async function importConnection(path: string, options: ImportOptions): Promise<ImportedConnection> {
  const connections = sectionAt(await readSettings(path), ['connections'])?.sections ?? new Map()
  const names = [...connections.keys()]
  const name = options.connection ?? (names.length === 1 ? names[0] : undefined)
  const section = name === undefined ? undefined : connections.get(name)
  if (name === undefined || section === undefined) {
    throw new ConfigError(`${path}: name one of its connections (${names.join(', ') || 'it has none'})`)
  }
  const at = `${path}: connections.${name}`
  const auth = requireSame(at, authOf(at, section, 'local'), authOf(at, section, 'remote'))
  return {
    // Another name than before: an IKE_SA of the agent's own that stands without a key is taken down at once, and the one that
    // is up shall carry the traffic until there is a better one.
    name: `${nameOf(at, name).slice(0, MAX_NAME - SUFFIX.length)}${SUFFIX}`,
    peer: options.peer,
    role: options.role,
    local: { id: required(at, section, 'local', 'id'), addresses: addressesOf(at, section, 'local_addrs') },
    remote: { id: required(at, section, 'remote', 'id'), addresses: addressesOf(at, section, 'remote_addrs') },
    auth,
    ...listField('proposals', section.values.get('proposals')),
    children: childrenOf(at, section),
    settings: settingsOf(section, OWN),
  }
}

function childrenOf(at: string, section: SettingsSection): ImportedConnection[] {
  const children = [...(section.sections.get('children')?.sections ?? [])]
  if (children.length === 0) throw new ConfigError(`${at}: it has no children`)
  return children.map(([name, child]) => ({
    name: nameOf(`${at}.children`, name),
    localTs: trafficOf(`${at}.children.${name}`, child, 'local_ts'),
    remoteTs: trafficOf(`${at}.children.${name}`, child, 'remote_ts'),
    ...listField('espProposals', child.values.get('esp_proposals')),
    settings: settingsOf(child, OWN_OF_CHILD),
  }))
}

function trafficOf(at: string, child: SettingsSection, name: string): string[] {
  const selectors = listOf(child.values.get(name))
  if (selectors.length > 0) return selectors
  throw new ConfigError(`${at}: it has no ${name}; name the traffic, or "dynamic" for that of the gateway itself`)
}

function addressesOf(at: string, section: SettingsSection, name: string): string[] {
  const addresses = listOf(section.values.get(name))
  if (addresses.length > 0 && !addresses.includes('%any')) return addresses
  throw new ConfigError(`${at}: it has no ${name}; an agent keeps connections between two known gateways`)
}

function authOf(at: string, section: SettingsSection, end: 'local' | 'remote'): string {
  const rounds = [...section.sections.keys()].filter(name => name.startsWith(end))
  if (rounds.length > 1) throw new ConfigError(`${at}: it has ${rounds.length} rounds of ${end}; the agent keeps one`)
  return section.sections.get(rounds[0] ?? end)?.values.get('auth') ?? 'pubkey'
}

function requireSame(at: string, local: string, remote: string): string {
  if (local === remote && (local === 'psk' || local === 'pubkey')) return local
  throw new ConfigError(`${at}: it authenticates by ${local} and ${remote}; the agent keeps psk or pubkey at both ends`)
}

function required(at: string, section: SettingsSection, end: 'local' | 'remote', name: string): string {
  const [round] = [...section.sections].filter(([key]) => key.startsWith(end))
  const value = round?.[1].values.get(name)
  if (value === undefined) throw new ConfigError(`${at}.${end}: it has no ${name}; give both gateways one`)
  return value
}

function settingsOf(section: SettingsSection, own: ReadonlySet<string>): Record<string, string | string[]> {
  const rest = [...section.values].filter(([name]) => !own.has(name))
  return Object.fromEntries(rest.map(([name, value]) => [name, LISTS.test(name) ? listOf(value) : value]))
}

function nameOf(at: string, name: string): string {
  const fitting = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, MAX_NAME)
  if (fitting === '') throw new ConfigError(`${at}: "${name}" has no letter; give it another name`)
  return fitting
}

function listField(name: string, value: string | undefined): Record<string, string[]> {
  return value === undefined ? {} : { [name]: listOf(value) }
}

function listOf(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map(item => item.trim())
    .filter(Boolean)
}
