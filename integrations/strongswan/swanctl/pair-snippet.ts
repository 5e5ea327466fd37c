import type { IpsecConnectionConfig } from '../agent-config.ts'
import { connectionBody } from '../charon/connection-body.ts'
import { ppkIdPattern } from '../charon/names.ts'
import { formatSettings } from './format-settings.ts'

/** A connection as both gateways have it. */
export interface PairSnippet {
  /** What this gateway's agent loads, as a section of swanctl.conf. */
  readonly local: string
  /** The other gateway's end of it. */
  readonly remote: string
}

/** A connection of the agent in the words of swanctl.conf: to read, to compare, and to go back to. */
export function pairSnippet(connection: IpsecConnectionConfig): PairSnippet {
  return { local: snippet(connection), remote: snippet(mirror(connection)) }
}

function snippet(connection: IpsecConnectionConfig): string {
  const { name, mode, role } = connection
  const body = connectionBody(connection, mode === 'ppk' && role === 'responder' ? { ppkId: ppkIdPattern(name) } : {})
  const lines = formatSettings({ connections: { [name]: body } })
  if (mode === 'ppk' && role === 'initiator') {
    const at = lines.findIndex(line => line.includes('ppk_required'))
    lines.splice(at + 1, 0, `    # ppk_id = KEY_ID@${name}.qkd, another with each key: the agent sets it`)
  }
  return `${lines.join('\n')}\n`
}

/** The same connection, seen from the other end. Settings are taken to be the same there. */
function mirror(connection: IpsecConnectionConfig): IpsecConnectionConfig {
  return {
    ...connection,
    role: connection.role === 'initiator' ? 'responder' : 'initiator',
    local: connection.remote,
    remote: connection.local,
    children: connection.children.map(child => ({ ...child, localTs: child.remoteTs, remoteTs: child.localTs })),
  }
}
