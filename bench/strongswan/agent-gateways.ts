import { join } from 'node:path'
import { createIpsecAgent, type IpsecAgent, type RotationTimes } from '../../integrations/strongswan/index.ts'
import { connectChannel, createChannelListener } from '../../integrations/tls/index.ts'
import type { CharonPair } from '../../test/helpers/charon-pair.ts'
import { CONNECTION, createIpsecPair, type IpsecPair } from '../../test/helpers/ipsec-pair.ts'
import { until } from '../../test/helpers/until.ts'
import { tapVici, type ViciTap } from './vici-tap.ts'

/** One rotation as it was measured, in milliseconds. */
export interface MeasuredRotation {
  readonly wholeMs: number
  /** What charon itself took for `initiate` and `terminate`. */
  readonly charonMs: number
  readonly times: RotationTimes
}

/** Two gateways with agents that talk to each other in TLS, as they do in the field. */
export class AgentGateways implements AsyncDisposable {
  readonly #pair: IpsecPair
  readonly #agent: IpsecAgent
  readonly #tap: ViciTap
  readonly #opened: AsyncDisposable[]
  #times: RotationTimes | undefined

  private constructor(pair: IpsecPair, agent: IpsecAgent, tap: ViciTap, opened: AsyncDisposable[]) {
    this.#pair = pair
    this.#agent = agent
    this.#tap = tap
    this.#opened = opened
    agent.onEvent(event => {
      if (event.type === 'rotated') this.#times = event.times
    })
  }

  get charons(): CharonPair {
    return this.#pair.charons
  }

  /** Starts everything, and resolves when the first key is in use. */
  static async open(): Promise<AgentGateways> {
    const pair = await createIpsecPair()
    const { alice, bob } = pair.kms
    const responder = createIpsecAgent({ config: pair.b.config, kms: bob, dial: () => Promise.reject(new Error('No')) })
    const listener = createChannelListener(bob, {
      peers: [{ saeId: 'alice' }],
      onChannel: channel => responder.accept(channel),
    })
    const { host, port } = await listener.listen()
    const tap = await tapVici(join(pair.charons.directory, 'tap'), pair.charons.a.viciPath)
    const agent = createIpsecAgent({
      config: { ...pair.a.config, viciSocket: tap.path },
      kms: alice,
      dial: (_, { signal }) => connectChannel(alice, { host, port, peerSaeId: 'bob', signal }),
    })
    const gateways = new AgentGateways(pair, agent, tap, [agent, listener, responder, tap, pair])
    await responder.start()
    await agent.start()
    await until(() => gateways.#times !== undefined, 'the first rotation')
    return gateways
  }

  async rotate(): Promise<MeasuredRotation> {
    const began = performance.now()
    const charonMs = await this.#tap.spent(['initiate', 'terminate'], () => this.#agent.rotate(CONNECTION))
    return { wholeMs: performance.now() - began, charonMs, times: this.#times! }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#opened) await part[Symbol.asyncDispose]()
  }
}
