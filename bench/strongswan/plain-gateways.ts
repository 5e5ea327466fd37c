import { join } from 'node:path'
import { connectionBody } from '../../integrations/strongswan/charon/connection-body.ts'
import type { IpsecConnectionConfig } from '../../integrations/strongswan/index.ts'
import { initiate, listSas, loadConnection, terminateIke } from '../../integrations/strongswan/vici/commands.ts'
import type { ViciEvent } from '../../integrations/strongswan/vici/connection.ts'
import { loadShared } from '../../integrations/strongswan/vici/load-shared.ts'
import { ViciSession } from '../../integrations/strongswan/vici/session.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { type CharonPair, createCharonPair } from '../../test/helpers/charon-pair.ts'
import { until } from '../../test/helpers/until.ts'
import { tapVici, type ViciTap } from './vici-tap.ts'

const NAME = 'plain'
const EVENTS = ['ike-updown', 'child-rekey']
const WAIT = { timeoutMs: 10_000 }

/** Two charons on a static secret, without agents: what strongSwan does by itself. */
export class PlainGateways implements AsyncDisposable {
  readonly charons: CharonPair
  readonly #sessions: readonly [ViciSession, ViciSession]
  readonly #tap: ViciTap
  readonly #events: ViciEvent[] = []
  #generation = 0

  private constructor(charons: CharonPair, tap: ViciTap, sessions: readonly [ViciSession, ViciSession]) {
    this.charons = charons
    this.#tap = tap
    this.#sessions = sessions
    sessions[0].onEvent(event => this.#events.push(event))
  }

  /** Starts both, and brings the tunnel up. With `heard`, somebody listens to both logs over VICI, as agents must. */
  static async open({ heard = false }: { heard?: boolean } = {}): Promise<PlainGateways> {
    const charons = await createCharonPair()
    const session = (path: string) =>
      new ViciSession({
        path,
        events: heard ? [...EVENTS, 'log'] : EVENTS,
        onConnect: async () => {},
        onDisconnect: () => {},
      })
    const tap = await tapVici(join(charons.directory, 'tap'), charons.a.viciPath)
    const plain = new PlainGateways(charons, tap, [session(tap.path), session(charons.b.viciPath)])
    using secret = SecretKey.random(32)
    for (const each of plain.#sessions) {
      await each.start()
      await loadShared(each, { id: NAME, type: 'ike', owners: ['a', 'b'], secret })
    }
    await loadConnection(plain.#sessions[1], NAME, body('b', 0))
    await plain.cycle()
    return plain
  }

  /** A new IKE_SA, and then the end of the old one: how long charon takes for the two, measured as it is for the agents. */
  async cycle(): Promise<number> {
    const [session] = this.#sessions
    this.#generation += 1
    await loadConnection(session, NAME, body('a', this.#generation))
    const before = await listSas(session, NAME)
    return await this.#tap.spent(['initiate', 'terminate'], async () => {
      await initiate(session, { ike: NAME, child: 'net' }, WAIT)
      for (const { uniqueId } of before) await terminateIke(session, uniqueId, WAIT)
    })
  }

  /** strongSwan's own way to a fresh authentication, make before break; until the old IKE_SA is gone. */
  async reauthenticate(): Promise<number> {
    const [old] = await listSas(this.#sessions[0], NAME)
    return await this.#timed({ 'ike-id': old!.uniqueId, reauth: 'yes' }, () => {
      const changes = this.#events.filter(({ name }) => name === 'ike-updown')
      return changes.some(({ message }) => message.up === 'yes') && changes.some(({ message }) => message.up !== 'yes')
    })
  }

  /** Fresh keys for the traffic, without a fresh authentication; until both ends use them. */
  rekeyChild(): Promise<number> {
    return this.#timed({ child: 'net' }, () => this.#events.some(({ name }) => name === 'child-rekey'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sessions.map(session => session.close()))
    await this.#tap[Symbol.asyncDispose]()
    await this.charons[Symbol.asyncDispose]()
  }

  async #timed(request: Record<string, string>, done: () => boolean): Promise<number> {
    this.#events.length = 0
    let endedMs: number | undefined
    const stop = this.#sessions[0].onEvent(() => {
      if (endedMs === undefined && done()) endedMs = performance.now()
    })
    const began = performance.now()
    try {
      await this.#sessions[0].request('rekey', request, WAIT)
      // Up to 12 s, if charon puts it off.
      await until(() => endedMs !== undefined, `the end of rekey ${JSON.stringify(request)}`, { timeoutMs: 20_000 })
    } finally {
      stop()
    }
    return endedMs! - began
  }
}

function body(end: 'a' | 'b', generation: number) {
  const [own, other] = end === 'a' ? [1, 2] : [2, 1]
  const config: IpsecConnectionConfig = {
    name: NAME,
    peer: 'none',
    mode: 'psk',
    role: end === 'a' ? 'initiator' : 'responder',
    local: { id: end, addresses: [`192.0.2.${own}`] },
    remote: { id: end === 'a' ? 'b' : 'a', addresses: [`192.0.2.${other}`] },
    auth: 'psk',
    proposals: ['aes256-sha256-x25519'],
    children: [
      {
        name: 'net',
        localTs: [`10.${own}.0.0/24`],
        remoteTs: [`10.${other}.0.0/24`],
        espProposals: ['aes256gcm16-x25519'],
        settings: {},
      },
    ],
    rotation: { everySeconds: 3_600 },
    settings: {},
  }
  return connectionBody(config, { generation })
}
