import { dirname, resolve } from 'node:path'
import { type AbortOptions, loadConfigFile, type SchemaFault } from '../../lib/index.ts'
import type { IpsecAgentConfig, IpsecConnectionConfig } from './agent-config.ts'
import { ipsecAgentConfigSchema } from './agent-config-schema.ts'

/**
 * Reads the configuration of an agent: JSON by `ipsecAgentConfigSchema`, then what belongs together. Paths come out absolute.
 * @throws {ConfigError} every fault at once, each with file, JSON pointer, what is wrong and the fix
 */
export async function loadIpsecAgentConfig(path: string, { signal }: AbortOptions = {}): Promise<IpsecAgentConfig> {
  const options = { schema: ipsecAgentConfigSchema, check: checkAgentConfig, signal }
  const { $schema: _, ...config } = await loadConfigFile<IpsecAgentConfig & { $schema?: string }>(path, options)
  const at = (file: string) => resolve(dirname(resolve(path)), file)
  return {
    ...config,
    saeProfile: at(config.saeProfile),
    viciSocket: at(config.viciSocket),
    stateDir: at(config.stateDir),
    spoolDir: at(config.spoolDir),
    controlSocket: at(config.controlSocket),
    ...(config.onUpdown === undefined ? {} : { onUpdown: at(config.onUpdown) }),
    connections: config.connections.map(connection => ({
      ...connection,
      ...(connection.secretFile === undefined ? {} : { secretFile: at(connection.secretFile) }),
    })),
  }
}

/** What no schema can say: names that meet twice, peers that nobody knows, fields that only go together. */
export function checkAgentConfig({ peers, connections }: IpsecAgentConfig): SchemaFault[] {
  return [
    ...twice(
      peers.map(({ saeId }) => saeId),
      index => `/peers/${index}/saeId`,
    ),
    ...twice(
      connections.map(({ name }) => name),
      index => `/connections/${index}/name`,
    ),
    ...connections.flatMap((connection, index) => checkConnection(connection, `/connections/${index}`, peers)),
  ]
}

function checkConnection(
  connection: IpsecConnectionConfig,
  path: string,
  peers: IpsecAgentConfig['peers'],
): SchemaFault[] {
  const { peer, mode, role, auth, secretFile, children, rotation, hardExpirySeconds } = connection
  const faults = twice(
    children.map(({ name }) => name),
    index => `${path}/children/${index}/name`,
  )
  const add = (field: string, message: string) => faults.push({ path: `${path}/${field}`, message })
  const known = peers.find(({ saeId }) => saeId === peer)
  if (known === undefined) {
    add('peer', `"${peer}" is not listed under /peers (${peers.map(({ saeId }) => saeId).join(', ')}); add it there`)
  } else if (role === 'initiator' && known.agent === undefined) {
    add('role', `the initiator connects to the agent of "${peer}": give that peer an "agent" with host and port`)
  }
  if (mode === 'vendor' && role === 'initiator') add('role', 'a vendor connection responds: set "responder"')
  if (mode === 'psk' && auth !== 'psk') add('auth', 'mode "psk" authenticates by the key itself: set "psk" or leave it')
  if (secretFile !== undefined && (auth !== 'psk' || mode === 'psk')) {
    add('secretFile', 'goes with auth "psk" in the modes "ppk" and "vendor" alone; remove it')
  }
  if (hardExpirySeconds !== undefined && mode !== 'vendor' && hardExpirySeconds <= rotation.everySeconds) {
    add(
      'hardExpirySeconds',
      `must be more than rotation.everySeconds (${rotation.everySeconds}), or no rotation could come in time`,
    )
  }
  return faults
}

function twice(names: readonly string[], pathOf: (index: number) => string): SchemaFault[] {
  return names.flatMap((name, index) => {
    const first = names.indexOf(name)
    if (first === index) return []
    return [{ path: pathOf(index), message: `"${name}" stands at ${pathOf(first)} already; each has one place` }]
  })
}
