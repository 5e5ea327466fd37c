import { readFile } from 'node:fs/promises'
import type { IpsecAgentConfig } from '../agent-config.ts'
import { type Finding, finder } from './finding.ts'
import { emptySection, readSettings, type SettingsSection, sectionAt, valueAt } from './settings-file.ts'

/** Where strongSwan's files lie. */
export interface StrongswanFiles {
  /** Default `/etc/strongswan.conf`. */
  readonly strongswanConf?: string
  /** Default `/etc/swanctl/swanctl.conf`. */
  readonly swanctlConf?: string
  /** Of strongswan-starter. Default `/etc/ipsec.conf`. */
  readonly ipsecConf?: string
}

/** From this level on charon writes key bytes into its log. */
const KEY_LEVEL = 4
/** charon-systemd has a section of its own, which goes before charon's. */
const DAEMONS = ['charon-systemd', 'charon']

/** Looks into strongSwan's files for what would work against the agent. */
export async function examineFiles(config: IpsecAgentConfig, files: StrongswanFiles): Promise<Finding[]> {
  const { strongswanConf = '/etc/strongswan.conf', swanctlConf = '/etc/swanctl/swanctl.conf' } = files
  const findings: Finding[] = []
  const read = async (path: string) => {
    try {
      return await readSettings(path)
    } catch (error) {
      findings.push(finder('files').unknown((error as Error).message, 'name the file that this charon reads'))
      return emptySection()
    }
  }
  const daemon = await read(strongswanConf)
  const admin = await read(swanctlConf)
  const starter = await readStarter(files)
  return [
    ...findings,
    ...examineLogLevels(daemon, starter),
    examineMakeBeforeBreak(daemon, strongswanConf),
    ...examineAdminConnections(config, admin, swanctlConf),
    ...examineAdminSecrets(config, admin, swanctlConf),
  ]
}

/** Looks for log levels at which charon writes keys into its log, and at nothing else. A file that can't be read says nothing. */
export async function examineLogging(files: StrongswanFiles): Promise<Finding[]> {
  const { strongswanConf = '/etc/strongswan.conf' } = files
  return examineLogLevels(await readSettings(strongswanConf).catch(emptySection), await readStarter(files))
}

function readStarter({ ipsecConf = '/etc/ipsec.conf' }: StrongswanFiles): Promise<string> {
  return readFile(ipsecConf, 'utf8').catch(() => '')
}

function examineLogLevels(daemon: SettingsSection, starter: string): Finding[] {
  const find = finder('log levels')
  const loud: string[] = []
  for (const name of DAEMONS) {
    for (const kind of ['filelog', 'syslog', 'journal', 'stderr', 'stdout']) {
      const section = sectionAt(daemon, [name, kind])
      if (section !== undefined) collectLevels(section, `${name}.${kind}`, loud)
    }
  }
  for (const [line] of starter.matchAll(/^\s*charondebug\s*=.*$/gm)) {
    for (const [, group, level] of line.matchAll(/(\w+)\s+(\d+)/g)) {
      if (Number(level) >= KEY_LEVEL) loud.push(`charondebug "${group} ${level}" in ipsec.conf`)
    }
  }
  if (loud.length === 0) return [find.ok(`below ${KEY_LEVEL} everywhere: no key gets into a log`)]
  return loud.map(what => find.fault(`${what}: charon writes keys into its log`, `set it to ${KEY_LEVEL - 1} or less`))
}

function collectLevels(section: SettingsSection, path: string, loud: string[]): void {
  for (const [name, value] of section.values) {
    if (/^\d+$/.test(value) && Number(value) >= KEY_LEVEL) loud.push(`${path}.${name} = ${value}`)
  }
  for (const [name, inner] of section.sections) collectLevels(inner, `${path}.${name}`, loud)
}

function examineMakeBeforeBreak(daemon: SettingsSection, path: string): Finding {
  const find = finder('make_before_break')
  const value = DAEMONS.map(name => valueAt(daemon, `${name}.make_before_break`)).find(found => found !== undefined)
  if (isYes(value)) return find.ok('charon reauthenticates without a gap, should it ever do so by itself')
  return find.warning(
    'off: if charon reauthenticates by itself, traffic stops for a moment',
    `set charon.make_before_break = yes in ${path}`,
  )
}

/** Connections of the admin's that have the name of ours, or that charon may take in the place of ours. */
function examineAdminConnections(config: IpsecAgentConfig, admin: SettingsSection, path: string): Finding[] {
  const find = finder('swanctl.conf')
  const findings: Finding[] = []
  for (const [name, theirs] of sectionAt(admin, ['connections'])?.sections ?? []) {
    const same = config.connections.find(connection => connection.name === name)
    const rival = config.connections.find(connection => isRival(theirs, connection.remote))
    const at = `connections.${name} in ${path}`
    if (same !== undefined) {
      findings.push(
        find.fault(
          `${at} has the name of a connection of the agent: each swanctl --load-all puts it in the other's place`,
          'remove it there; qkd ipsec config prints what the agent loads',
        ),
      )
    } else if (rival !== undefined) {
      findings.push(
        find.fault(
          `${at} leads to the gateway of "${rival.name}" too: charon may answer with it, and it asks for no quantum key`,
          'remove it there, or give it another remote_addrs and remote id',
        ),
      )
    }
    if (same === undefined && rival === undefined) continue
    for (const [child, settings] of sectionAt(theirs, ['children'])?.sections ?? []) {
      if (settings.values.get('start_action') !== 'start') continue
      findings.push(
        finder('start_action').fault(
          `${at}, child ${child}: with start_action = start a rotation ends the old IKE_SA first`,
          'remove start_action; the agent brings connections up',
        ),
      )
    }
  }
  return findings.length > 0 ? findings : [find.ok('no connection of it gets in the way of the agent')]
}

function isRival(theirs: SettingsSection, remote: { id: string; addresses: readonly string[] }): boolean {
  const addresses = listOf(theirs.values.get('remote_addrs'))
  const ids = [...theirs.sections]
    .filter(([name]) => name.startsWith('remote'))
    .map(([, { values }]) => values.get('id'))
  // Without an address or an identity it fits every gateway.
  const meets =
    addresses.length === 0 || addresses.some(address => address === '%any' || remote.addresses.includes(address))
  return meets && (ids.length === 0 || ids.some(id => id === undefined || id === '%any' || id === remote.id))
}

/** In mode psk a gateway signs with the secret that was loaded last: the admin's would be the wrong one. */
function examineAdminSecrets(config: IpsecAgentConfig, admin: SettingsSection, path: string): Finding[] {
  const find = finder('secrets')
  const rotated = config.connections.filter(({ mode }) => mode === 'psk')
  return [...(sectionAt(admin, ['secrets'])?.sections ?? [])].flatMap(([name, { values }]) => {
    if (!name.startsWith('ike')) return []
    const owners = [...values].filter(([key]) => key.startsWith('id')).map(([, owner]) => owner)
    const meant = rotated.find(({ remote }) => owners.length === 0 || owners.includes(remote.id))
    if (meant === undefined) return []
    const text = `secrets.${name} in ${path} is for the gateway of "${meant.name}", whose secret the agent rotates`
    return [find.fault(text, 'remove it there: after swanctl --load-all charon would sign with it')]
  })
}

function listOf(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map(item => item.trim())
    .filter(Boolean)
}

/** Truth as strongSwan reads it. */
function isYes(value: string | undefined): boolean {
  return /^(1|yes|true|enabled)$/i.test(value ?? '')
}
