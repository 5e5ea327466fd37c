import { type AbortOptions, type SecretKey, withDeadline } from '../../lib/index.ts'
import { loadShared } from './vici/load-shared.ts'
import { ViciSession } from './vici/session.ts'

/** Options of `loadPsk`. */
export interface LoadPskOptions extends AbortOptions {
  /** charon's socket. */
  readonly viciSocket: string
  /** IKE identities of both gateways. */
  readonly localId: string
  readonly remoteId: string
  readonly secret: SecretKey
  /** How long charon may take, in milliseconds. Default 5000. */
  readonly timeoutMs?: number
}

/**
 * Gives charon a pre-shared key of IKE for two gateways, once, in the place of the one of the call before; gives the ID under
 * which charon lists it. SAs that are up stay; the next authentication needs the key at both ends.
 * @throws {ViciError} charon can't be reached, or refuses
 */
export async function loadPsk(options: LoadPskOptions): Promise<string> {
  const { viciSocket, localId, remoteId, secret, timeoutMs = 5_000, signal } = options
  const deadline = withDeadline(signal, timeoutMs)
  const id = `qkd-psk:${localId}:${remoteId}`
  await using session = new ViciSession({
    path: viciSocket,
    events: [],
    onConnect: async () => {},
    onDisconnect: () => {},
  })
  const problem = await session.start({ signal: deadline })
  if (problem !== undefined) throw problem
  await loadShared(session, { id, type: 'ike', owners: [localId, remoteId], secret }, { signal: deadline })
  return id
}
