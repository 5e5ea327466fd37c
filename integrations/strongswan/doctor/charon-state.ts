import type { IpsecAgentConfig, IpsecConnectionConfig } from '../agent-config.ts'
import { numberOf, textOf, textsOf } from '../vici/answers.ts'
import { charonVersion, listConnection, listSas } from '../vici/commands.ts'
import type { ViciSession } from '../vici/session.ts'
import { type Finding, finder } from './finding.ts'

/** RFC 8784 came with this version. */
const FIRST_VERSION = [5, 7]
const CALL = { timeoutMs: 5_000 }

/** Asks a running charon what it is and what it holds for the agent. */
export async function examineCharon(config: IpsecAgentConfig, session: ViciSession): Promise<Finding[]> {
  const version = (await charonVersion(session, CALL)) ?? ''
  const plugins = textsOf(await session.request('stats', {}, CALL), 'plugins')
  const findings = [examineVersion(version), ...examinePlugins(config, plugins)]
  for (const connection of config.connections) findings.push(...(await examineConnection(connection, session)))
  return findings
}

/** True where ESP is charon's own work, through a TUN device. */
export async function hasUserSpaceEsp(session: ViciSession): Promise<boolean> {
  return textsOf(await session.request('stats', {}, CALL), 'plugins').includes('kernel-libipsec')
}

function examineVersion(version: string): Finding {
  const find = finder('charon')
  const numbers = version.split('.').map(part => Number.parseInt(part, 10))
  const [major = 0, minor = 0] = numbers
  const fits = major > FIRST_VERSION[0]! || (major === FIRST_VERSION[0] && minor >= FIRST_VERSION[1]!)
  if (fits) return find.ok(`strongSwan ${version}`)
  return find.fault(`strongSwan ${version || '(unknown)'} knows no PPK (RFC 8784)`, 'install 5.7 or later')
}

function examinePlugins(config: IpsecAgentConfig, plugins: readonly string[]): Finding[] {
  const find = finder('plugins')
  const missing: Finding[] = []
  if (!plugins.some(name => name === 'kernel-libipsec' || name === 'kernel-netlink')) {
    missing.push(find.fault('charon has no kernel interface', 'load kernel-netlink'))
  }
  const hooked = config.connections.some(({ children }) => children.some(({ settings }) => 'updown' in settings))
  if (hooked && !plugins.includes('updown')) {
    missing.push(find.fault('updown is set and the plugin is not loaded', 'install strongswan-libcharon, load updown'))
  }
  return missing.length > 0 ? missing : [find.ok(`${plugins.length} loaded, and what is needed among them`)]
}

async function examineConnection(connection: IpsecConnectionConfig, session: ViciSession): Promise<Finding[]> {
  const { name, mode } = connection
  const loaded = await listConnection(session, name, CALL)
  const find = finder(`connection ${name}`)
  if (loaded === undefined) return [find.warning('charon does not have it', 'start qkd ipsec agent, which loads it')]
  const findings: Finding[] = []
  if (mode !== 'psk' && textOf(loaded, 'ppk_required') !== 'yes') {
    findings.push(
      find.fault(
        'ppk_required is not yes: a peer without a key comes in without one, and nobody is told',
        'something has loaded the connection over the one of the agent: run qkd ipsec reconcile, and find out what',
      ),
    )
  }
  if (numberOf(loaded, 'dpd_delay') === 0) {
    findings.push(
      find.warning(
        'dpd_delay is not set: a gateway that was restarted is not noticed',
        'add "dpd_delay": "10s" to its settings',
      ),
    )
  }
  const sas = (await listSas(session, name, CALL)).filter(({ state }) => state === 'ESTABLISHED')
  if (mode !== 'psk' && sas.some(({ ppk }) => !ppk)) {
    findings.push(find.fault('an IKE_SA of it stands without a PPK', `run swanctl --terminate --ike ${name}`))
  }
  if (findings.length > 0) return findings
  return [find.ok(sas.length === 0 ? 'loaded, and not up' : `up${mode === 'psk' ? '' : ' under a PPK'}`)]
}
