import type { Argv } from 'yargs'
import { loadIpsecAgentConfig } from '../integrations/strongswan/index.ts'

/** How a command reaches the agent of this gateway. */
export interface AgentSocketArguments {
  readonly config?: string
  readonly socket?: string
}

const DEFAULT_SOCKET = '/run/qkdkit/ipsec.sock'

/** Adds the options that say where the agent listens. */
export function withAgentSocket<T>(yargs: Argv<T>) {
  return yargs
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: "The agent's configuration, which names its socket",
    })
    .option('socket', { type: 'string', requiresArg: true, describe: `Its socket itself [default: ${DEFAULT_SOCKET}]` })
    .conflicts('config', 'socket')
}

/** Path of the socket at which the agent listens for commands. */
export async function agentSocket({ config, socket }: AgentSocketArguments): Promise<string> {
  if (socket !== undefined) return socket
  return config === undefined ? DEFAULT_SOCKET : (await loadIpsecAgentConfig(config)).controlSocket
}
