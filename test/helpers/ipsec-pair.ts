import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createIpsecAgent,
  type IpsecAgent,
  type IpsecAgentConfig,
  type IpsecAgentEvent,
  type IpsecConnectionConfig,
} from '../../integrations/strongswan/index.ts'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import type { Kms, Logger, MessageChannel } from '../../lib/index.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { type CharonPair, type CharonSettings, createCharonPair } from './charon-pair.ts'
import { type KmsPair, kmsBackends } from './kms-backends.ts'
import { type Tamper, TamperingChannel } from './tampering-channel.ts'
import { until } from './until.ts'

/** The connection that every pair has, as its name in charon. */
export const CONNECTION = 'site-b'

/** Options of `createIpsecPair`. */
export interface IpsecPairOptions {
  /** Default: the embedded KMS. */
  readonly kms?: () => Promise<KmsPair>
  /** What differs from the default at both ends: PPKs, a rotation an hour. */
  readonly connection?: Partial<IpsecConnectionConfig>
  /** What differs at one end. */
  readonly only?: Partial<Record<'a' | 'b', Partial<IpsecConnectionConfig>>>
  readonly charon?: CharonSettings
  readonly reconcileSeconds?: number
}

/** One gateway: a real charon and the agent beside it. */
export class Gateway {
  readonly config: IpsecAgentConfig
  readonly events: IpsecAgentEvent[] = []
  /** Everything that the agent logged, as text. */
  readonly logged: string[] = []
  readonly telemetry = new TelemetryHub()
  /** The host's KMS; may be changed before a start. */
  kms: Kms
  #agent: IpsecAgent | undefined
  readonly #dial: (signal: AbortSignal) => Promise<MessageChannel>

  constructor(config: IpsecAgentConfig, kms: Kms, dial: (signal: AbortSignal) => Promise<MessageChannel>) {
    this.config = config
    this.kms = kms
    this.#dial = dial
  }

  get agent(): IpsecAgent {
    if (this.#agent === undefined) throw new Error('The agent was not started')
    return this.#agent
  }

  get running(): boolean {
    return this.#agent !== undefined
  }

  async start(): Promise<void> {
    const { config, kms, telemetry } = this
    const agent = createIpsecAgent({
      config,
      kms,
      telemetry,
      logger: this.#logger(),
      dial: (_, { signal }) => this.#dial(signal),
    })
    agent.onEvent(event => this.events.push(event))
    this.#agent = agent
    await agent.start()
  }

  async stop(): Promise<void> {
    const agent = this.#agent
    this.#agent = undefined
    await agent?.close()
  }

  /** Events of one type so far. */
  seen<T extends IpsecAgentEvent['type']>(type: T): Extract<IpsecAgentEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<IpsecAgentEvent, { type: T }> => event.type === type)
  }

  #logger(): Logger {
    const at = () => (fields: object, message: string) => {
      this.logged.push(`${message} ${JSON.stringify(fields)}`)
    }
    return { debug: at(), info: at(), warn: at(), error: at() }
  }
}

/** What joins the agents: messages in order, until somebody meddles. */
export class AgentWire {
  /** Dialling fails while it is set. */
  down = false
  /** What becomes of messages of the initiator and of the responder, on channels dialled from now on. */
  tamper: { initiator?: Tamper; responder?: Tamper } = {}
  /** Channels that were dialled. */
  dialled = 0
  readonly #open = new Set<MessageChannel>()

  /** Loses every channel. */
  async cut(): Promise<void> {
    const channels = [...this.#open]
    this.#open.clear()
    await Promise.all(channels.map(channel => channel.close()))
  }

  join(from: string, to: string, accept: (channel: MessageChannel) => void): MessageChannel {
    if (this.down) throw new Error('The agents can not reach each other')
    this.dialled += 1
    const [near, far] = createMemoryChannelPair([from, to])
    for (const end of [near, far]) this.#open.add(end)
    accept(new TamperingChannel(far, this.tamper.responder))
    return new TamperingChannel(near, this.tamper.initiator)
  }
}

/** Two gateways with agents; `a` initiates. */
export interface IpsecPair extends AsyncDisposable {
  readonly charons: CharonPair
  readonly kms: KmsPair
  readonly wire: AgentWire
  readonly a: Gateway
  readonly b: Gateway
  /** Starts both agents, `b` first, and waits for the first rotation. */
  start(): Promise<void>
  /** Runs a rotation from one end, and waits until both ends know of it. */
  rotate(): Promise<void>
}

/** Two real charons with an agent each, nothing of it started but the charons. */
export async function createIpsecPair(options: IpsecPairOptions = {}): Promise<IpsecPair> {
  const opened: AsyncDisposable[] = []
  const close = async () => {
    for (const part of opened.reverse()) await part[Symbol.asyncDispose]()
    opened.length = 0
  }
  try {
    const charons = await createCharonPair(options.charon)
    opened.push(charons)
    const kms = await (options.kms ?? kmsBackends[0]!.create)()
    opened.push(kms)
    const wire = new AgentWire()
    const secretFile = join(charons.directory, 'secret')
    await writeFile(secretFile, 'a static secret of both gateways\n', { mode: 0o600 })
    const config = (end: 'a' | 'b') => agentConfig(end, charons, { secretFile, ...options })
    const refused = () => Promise.reject(new Error('The agents can not reach each other'))
    const reach = (from: string, to: string, gateway: () => Gateway) => async () => {
      if (!gateway().running) return await refused()
      return wire.join(from, to, channel => gateway().agent.accept(channel))
    }
    const a: Gateway = new Gateway(
      config('a'),
      kms.alice,
      reach('alice', 'bob', () => b),
    )
    const b: Gateway = new Gateway(
      config('b'),
      kms.bob,
      reach('bob', 'alice', () => a),
    )
    opened.push({ [Symbol.asyncDispose]: async () => void (await Promise.all([a.stop(), b.stop()])) })
    const rotated = (gateway: Gateway) => gateway.seen('rotated').length
    return {
      charons,
      kms,
      wire,
      a,
      b,
      start: async () => {
        await b.start()
        await a.start()
        await until(() => rotated(a) > 0 && rotated(b) > 0, 'the first rotation at both ends')
      },
      rotate: async () => {
        const before = rotated(b)
        await a.agent.rotate(CONNECTION)
        await until(() => rotated(b) > before, 'the rotation at the responder')
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function agentConfig(
  end: 'a' | 'b',
  charons: CharonPair,
  { secretFile, connection, only, reconcileSeconds = 1 }: IpsecPairOptions & { secretFile: string },
): IpsecAgentConfig {
  const ends = {
    a: { id: 'gateway-a', addresses: ['192.0.2.1'], net: ['10.1.0.0/24'], saeId: 'alice' },
    b: { id: 'gateway-b', addresses: ['192.0.2.2'], net: ['10.2.0.0/24'], saeId: 'bob' },
  }
  const [own, other] = end === 'a' ? [ends.a, ends.b] : [ends.b, ends.a]
  const mode = only?.[end]?.mode ?? connection?.mode ?? 'ppk'
  const directory = join(charons.directory, end)
  return {
    saeProfile: 'not read here',
    viciSocket: charons[end].viciPath,
    listen: { host: '127.0.0.1', port: 0 },
    stateDir: join(directory, 'agent'),
    spoolDir: join(directory, 'spool'),
    controlSocket: join(directory, 'agent.sock'),
    reconcileSeconds,
    peers: [{ saeId: other.saeId, agent: { host: '127.0.0.1', port: 1 } }],
    connections: [
      {
        name: CONNECTION,
        peer: other.saeId,
        mode,
        role: end === 'a' ? 'initiator' : 'responder',
        local: { id: own.id, addresses: own.addresses },
        remote: { id: other.id, addresses: other.addresses },
        auth: 'psk',
        ...(mode === 'psk' ? {} : { secretFile }),
        proposals: ['aes256-sha256-x25519'],
        children: [
          { name: 'net', localTs: own.net, remoteTs: other.net, espProposals: ['aes256gcm16-x25519'], settings: {} },
        ],
        rotation: { everySeconds: 3_600 },
        settings: {},
        ...connection,
        ...only?.[end],
      },
    ],
  }
}
