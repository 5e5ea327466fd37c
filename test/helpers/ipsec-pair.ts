import { cpSync, existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createIpsecAgent,
  type IpsecAgent,
  type IpsecAgentConfig,
  type IpsecAgentEvent,
  type IpsecConnectionConfig,
} from '../../integrations/strongswan/index.ts'
import { textsOf } from '../../integrations/strongswan/vici/answers.ts'
import { ViciConnection } from '../../integrations/strongswan/vici/connection.ts'
import { encodeViciPacket } from '../../integrations/strongswan/vici/packet.ts'
import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { exportKey, type Key, type Kms, type Logger, type MessageChannel } from '../../lib/index.ts'
import { TelemetryHub } from '../../lib/telemetry.ts'
import { type CharonNode, type CharonPair, type CharonSettings, createCharonPair } from './charon-pair.ts'
import { type KmsPair, kmsBackends } from './kms-backends.ts'
import { type Tamper, TamperingChannel } from './tampering-channel.ts'
import { until } from './until.ts'
import { type TappedKey, ViciTap } from './vici-tap.ts'

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
  /** How the agents reach each other. Default: by memory. */
  readonly dial?: Record<'a' | 'b', (signal: AbortSignal) => Promise<MessageChannel>>
}

/** One gateway: a real charon and the agent beside it. */
export class Gateway {
  config: IpsecAgentConfig
  readonly charon: CharonNode
  /** Everything that went to charon from any agent of this gateway. */
  readonly taps: ViciTap[] = []
  readonly events: IpsecAgentEvent[] = []
  /** Everything that the agent logged, as text. */
  readonly logged: string[] = []
  readonly telemetry = new TelemetryHub()
  /** Bytes of every key that the KMS gave this gateway. */
  readonly fetched: Buffer[] = []
  /** The host's KMS; may be changed before a start. */
  kms: Kms
  #agent: IpsecAgent | undefined
  readonly #dial: (signal: AbortSignal) => Promise<MessageChannel>

  constructor(
    config: IpsecAgentConfig,
    { charon, kms, dial }: { charon: CharonNode; kms: Kms; dial: (signal: AbortSignal) => Promise<MessageChannel> },
  ) {
    this.config = config
    this.charon = charon
    this.kms = recording(kms, this.fetched)
    this.#dial = dial
  }

  get agent(): IpsecAgent {
    if (this.#agent === undefined) throw new Error('The agent was not started')
    return this.#agent
  }

  get running(): boolean {
    return this.#agent !== undefined
  }

  /** The way of the present agent to charon. */
  get tap(): ViciTap {
    return this.taps.at(-1)!
  }

  async start(): Promise<void> {
    const { kms, telemetry } = this
    const path = `${this.charon.viciPath}-${this.taps.length}`
    this.taps.push(await ViciTap.open(path, this.charon.viciPath))
    this.config = { ...this.config, viciSocket: path }
    const { config } = this
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
    if (agent !== undefined) await this.tap[Symbol.asyncDispose]()
  }

  /**
   * Ends the agent as `kill -9` would: charon and the other agent hear nothing more of it, and what it writes from now on is
   * lost. The caller cuts the wire, in the same moment.
   */
  async crash(): Promise<void> {
    const agent = this.#agent
    this.#agent = undefined
    const stateDir = `${this.config.stateDir}+`
    if (existsSync(this.config.stateDir)) cpSync(this.config.stateDir, stateDir, { recursive: true })
    await this.tap[Symbol.asyncDispose]()
    this.config = { ...this.config, stateDir }
    await agent?.close({ signal: AbortSignal.abort() })
  }

  /** Keys that any agent of this gateway gave charon for rotations. */
  keys(): TappedKey[] {
    return this.taps.flatMap(tap => [...tap.keys.values()]).filter(({ id }) => !id.endsWith(':auth'))
  }

  /** IDs of the secrets that charon has now. */
  async loaded(): Promise<string[]> {
    const client = await ViciConnection.open(this.charon.viciPath)
    try {
      const packet = encodeViciPacket({ kind: 'request', name: 'get-shared', message: {} })
      return textsOf(await client.request(packet, 'get-shared'), 'keys')
    } finally {
      client.close()
    }
  }

  /** PPK_IDs that charon said it uses, in order. */
  async ppkIdsInLog(): Promise<string[]> {
    const log = await this.charon.log()
    return [...log.matchAll(/using PPK for PPK_ID '(.+)'/g)].map(match => match[1]!)
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

/** Keeps a copy of every key that goes by. */
function recording(kms: Kms, into: Buffer[]): Kms {
  const record = async (asking: Promise<Key[]>) => {
    const keys = await asking
    for (const { secret } of keys) into.push(exportKey(secret))
    return keys
  }
  return {
    saeId: kms.saeId,
    getStatus: (slaveSaeId, options) => kms.getStatus(slaveSaeId, options),
    getKey: (slaveSaeId, options) => record(kms.getKey(slaveSaeId, options)),
    getKeyWithIds: (masterSaeId, keyIds, options) => record(kms.getKeyWithIds(masterSaeId, keyIds, options)),
    close: options => kms.close(options),
    [Symbol.asyncDispose]: () => kms.close(),
  }
}

const untouched: Tamper = message => [message]

/** What joins the agents: messages in order, until somebody meddles. */
export class AgentWire {
  /** Dialling fails while it is set. */
  down = false
  /** What becomes of messages of the initiator and of the responder, on channels dialled from now on. */
  tamper: { initiator?: Tamper; responder?: Tamper } = {}
  /** What happens before an agent's message is sent. */
  gate: (from: string, message: Uint8Array) => Promise<void> = async () => {}
  /** Channels that were dialled. */
  dialled = 0
  readonly #open = new Map<MessageChannel, { dead: boolean }>()

  /** Loses every channel, and at once whatever would still be sent on it. */
  async cut(): Promise<void> {
    const channels = [...this.#open]
    this.#open.clear()
    for (const [, line] of channels) line.dead = true
    await Promise.all(channels.map(([channel]) => channel.close()))
  }

  join(from: string, to: string, accept: (channel: MessageChannel) => void): MessageChannel {
    if (this.down) throw new Error('The agents can not reach each other')
    this.dialled += 1
    const [near, far] = createMemoryChannelPair([from, to])
    const line = { dead: false }
    for (const end of [near, far]) this.#open.set(end, line)
    const { initiator = untouched, responder = untouched } = this.tamper
    const unlessDead =
      (tamper: Tamper): Tamper =>
      (message, at) =>
        line.dead ? [] : tamper(message, at)
    accept(this.#gated(to, new TamperingChannel(far, unlessDead(responder))))
    return this.#gated(from, new TamperingChannel(near, unlessDead(initiator)))
  }

  #gated(from: string, channel: MessageChannel): MessageChannel {
    return {
      peerId: channel.peerId,
      send: async (message, options) => {
        await this.gate(from, message)
        await channel.send(message, options)
      },
      receive: options => channel.receive(options),
      close: options => channel.close(options),
      [Symbol.asyncDispose]: () => channel.close(),
    }
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
    const dial = options.dial ?? {
      a: reach('alice', 'bob', () => b),
      b: reach('bob', 'alice', () => a),
    }
    const a: Gateway = new Gateway(config('a'), { charon: charons.a, kms: kms.alice, dial: dial.a })
    const b: Gateway = new Gateway(config('b'), { charon: charons.b, kms: kms.bob, dial: dial.b })
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

/** What the agents must have come to after whatever happened: one IKE_SA on a PPK, alike at both ends, and no key left. */
export async function convergence({ a, b }: Pick<IpsecPair, 'a' | 'b'>): Promise<string | undefined> {
  const [left, right] = [await a.charon.sas(), await b.charon.sas()]
  for (const [name, sas] of Object.entries({ a: left, b: right })) {
    const [sa] = sas
    if (sas.length !== 1 || sa === undefined) return `${name} has ${sas.length} IKE_SAs`
    if (sa.state !== 'ESTABLISHED' || !sa.ppk) return `${name}'s IKE_SA is ${sa.state}, ppk=${sa.ppk}`
    if (!sa.children.some(({ state }) => state === 'INSTALLED')) return `${name} has no CHILD_SA`
  }
  for (const gateway of [a, b]) {
    const stray = (await gateway.loaded()).filter(id => !id.endsWith(':auth'))
    if (stray.length > 0) return `keys are left: ${stray.join(', ')}`
  }
  const [mine, theirs] = [a.seen('rotated').at(-1)?.keyId, b.seen('rotated').at(-1)?.keyId]
  return mine === theirs ? undefined : `a stands on ${mine}, b on ${theirs}`
}

/** Rotations of which one end or the other said that the same PPK_ID came into use a second time. */
export async function repeatedIds({ a, b }: Pick<IpsecPair, 'a' | 'b'>): Promise<string[]> {
  const logs = [await a.ppkIdsInLog(), await b.ppkIdsInLog()]
  return logs.flatMap(ids => ids.filter((id, at) => ids.indexOf(id) !== at))
}

/** Where one of the keys stands, as it is, in hex or in base64, in whatever the agents and charons have written. */
export async function keysInTheOpen({ a, b, charons }: IpsecPair): Promise<string[]> {
  const keys = [...[...a.keys(), ...b.keys()].map(({ data }) => data), ...a.fetched, ...b.fetched]
  const places = new Map<string, Buffer>()
  for (const entry of await readdir(charons.directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) places.set(path, await readFile(path))
  }
  for (const [name, gateway] of Object.entries({ a, b })) {
    places.set(`what ${name} logged`, Buffer.from(gateway.logged.join('\n')))
    places.set(`events of ${name}`, Buffer.from(JSON.stringify(gateway.events)))
    places.set(`status of ${name}`, Buffer.from(JSON.stringify(await gateway.agent.status())))
  }
  const forms = keys.flatMap(key => {
    const base64 = key.toString('base64').replace(/=+$/, '')
    return [key, key.toString('hex'), key.toString('hex').toUpperCase(), base64, key.toString('base64url')]
  })
  return [...places].filter(([, bytes]) => forms.some(form => bytes.includes(form))).map(([place]) => place)
}
