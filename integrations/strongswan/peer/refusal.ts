import type { IpsecConnectionConfig } from '../agent-config.ts'
import type { PeerMessage, PeerRefusal } from './peer-message.ts'

/** Why a channel that an initiator opened is not served by the connection that it names; undefined where it is. */
export function refusalOf(
  hello: Extract<PeerMessage, { type: 'hello' }>,
  peerId: string,
  config: IpsecConnectionConfig | undefined,
): PeerRefusal | undefined {
  if (config === undefined) return 'unknown-connection'
  if (config.peer !== peerId) return 'wrong-peer'
  if (config.role === 'initiator' || hello.role !== 'initiator') return 'role-conflict'
  if (config.mode !== hello.mode || config.mode === 'vendor') return 'mode-mismatch'
  const [theirs, ours] = hello.ids
  return theirs === config.remote.id && ours === config.local.id ? undefined : 'identity-mismatch'
}
