import { ViciSession } from '../../integrations/strongswan/vici/session.ts'
import type { CharonNode } from './charon-pair.ts'

/** Where a gateway stands as an IKE peer. */
export interface ProbeEnd {
  readonly charon: CharonNode
  readonly id: string
  readonly address: string
}

/**
 * Has one gateway authenticate a new IKE_SA with the other, by pre-shared key and without children, and takes it down
 * again. Gives what charon said where it failed, or undefined.
 */
export async function authenticate(from: ProbeEnd, to: ProbeEnd): Promise<string | undefined> {
  await using session = new ViciSession({
    path: from.charon.viciPath,
    events: [],
    onConnect: async () => {},
    onDisconnect: () => {},
  })
  await session.start()
  const connection = {
    version: '2',
    local_addrs: [from.address],
    remote_addrs: [to.address],
    proposals: ['aes256-sha256-x25519'],
    childless: 'force',
    unique: 'never',
    local: { auth: 'psk', id: from.id },
    remote: { auth: 'psk', id: to.id },
  }
  await session.request('load-conn', { probe: connection })
  const answer = await session.request('initiate', { ike: 'probe', timeout: '3000' })
  await session.request('terminate', { ike: 'probe', force: 'yes', timeout: '1000' })
  await session.request('unload-conn', { name: 'probe' })
  return answer.success === 'yes' ? undefined : String(answer.errmsg)
}
