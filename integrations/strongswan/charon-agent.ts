import { setMaxListeners } from 'node:events'
import {
  type AbortOptions,
  ClosedError,
  ConfigError,
  debugLogger,
  eitherSignal,
  InvalidArgumentError,
  Listeners,
  type Logger,
  type MessageChannel,
  startDeadline,
  type Unsubscribe,
  ViciError,
} from '../../lib/index.ts'
import type { IpsecAgent, IpsecAgentOptions, ReconcileReport } from './agent.ts'
import type { IpsecConnectionConfig } from './agent-config.ts'
import type { IpsecAgentEvent } from './agent-event.ts'
import type { IpsecAgentStatus } from './agent-status.ts'
import { Alarms } from './alarms.ts'
import { Charon } from './charon/charon.ts'
import { InitiatorLink } from './link/initiator-link.ts'
import type { Link, LinkContext } from './link/link.ts'
import { LinkStore } from './link/link-record.ts'
import { ResponderLink } from './link/responder-link.ts'
import { reasonOf } from './link/rotation-fault.ts'
import { VendorLink } from './link/vendor-link.ts'
import { PeerChannel } from './peer/peer-channel.ts'
import { refusalOf } from './peer/refusal.ts'
import { UpdownBook } from './updown-book.ts'
import type { UpdownEvent } from './updown-event.ts'

/** How long a peer's agent may take to say which connection its channel is for, in milliseconds. */
const HELLO_TIMEOUT_MS = 5_000
/** How long charon's log may be behind the hook, in milliseconds. */
const NAMING_TIMEOUT_MS = 1_000
/** Channels that may wait to say it. */
const MAX_STRANGERS = 64

/** The agent of one gateway: its charon, its connections, and the channels of its peers. */
export class CharonAgent implements IpsecAgent {
  readonly #options: IpsecAgentOptions
  readonly #charon: Charon
  readonly #alarms: Alarms
  readonly #links = new Map<string, Link>()
  readonly #events = new Listeners<IpsecAgentEvent>()
  readonly #updown: UpdownBook
  readonly #logger: Logger
  readonly #strangers = new Set<MessageChannel>()
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #reconciling: Promise<ReconcileReport> | undefined
  #closing: Promise<void> | undefined
  /** Calls of the hook, one after the other. */
  #calls: Promise<void> = Promise.resolve()

  constructor(options: IpsecAgentOptions) {
    this.#options = options
    const { config, kms, telemetry, logger = debugLogger('ipsec'), now = Date.now } = options
    this.#logger = logger
    const emit = (event: IpsecAgentEvent) => this.#events.emit(event)
    this.#alarms = new Alarms({ now, telemetry, onChange: (alarm, state) => emit({ type: 'alarm', alarm, state }) })
    this.#charon = new Charon({
      path: config.viciSocket,
      onConnect: contact => this.#provision(contact),
      onReady: () => this.#ready(),
      onDisconnect: error => this.#lost(error),
    })
    this.#updown = new UpdownBook(uniqueId => this.#charon.watch.rootOf(uniqueId))
    const context = { kms, charon: this.#charon, alarms: this.#alarms, emit, telemetry, logger, now }
    for (const connection of config.connections) this.#links.set(connection.name, this.#link(connection, context))
    this.#charon.watch.onNews(news => {
      for (const link of this.#links.values()) link.hear(news)
    })
  }

  async start({ signal }: AbortOptions = {}): Promise<void> {
    this.#refuseClosed()
    try {
      for (const link of this.#links.values()) {
        await link.open()
        link.measure()
      }
      const problem = await this.#charon.start({ signal })
      if (problem instanceof ConfigError) throw problem
      if (problem !== undefined) this.#lost(problem)
      const whole = eitherSignal(signal, this.#stop.signal)
      // Each connection listens to it, and a gateway may have hundreds.
      setMaxListeners(0, whole)
      const started = [...this.#links.values()].map(link => link.start({ signal: whole }))
      const faults = (await Promise.allSettled(started)).flatMap(each =>
        each.status === 'rejected' ? each.reason : [],
      )
      if (faults.length > 0) throw faults.length === 1 ? faults[0] : new ConfigError(faults.map(reasonOf).join('\n'))
    } catch (error) {
      await this.close()
      throw error
    }
    const everyMs = this.#options.config.reconcileSeconds * 1000
    this.#timer = setInterval(() => void this.reconcile().catch(() => {}), everyMs).unref()
  }

  accept(channel: MessageChannel): void {
    if (this.#closing !== undefined || this.#strangers.size >= MAX_STRANGERS) {
      void channel.close().catch(() => {})
      return
    }
    this.#strangers.add(channel)
    this.#welcome(channel)
      .catch(error => {
        this.#logger.warn({ peer: channel.peerId, reason: reasonOf(error) }, 'a channel was turned away')
        return channel.close()
      })
      .catch(() => {})
      .finally(() => this.#strangers.delete(channel))
  }

  async status(options: AbortOptions = {}): Promise<IpsecAgentStatus> {
    const { connected, version, path } = this.#charon
    const sas = connected ? await this.#charon.sas(undefined, options) : []
    return {
      saeId: this.#options.kms.saeId,
      charon: { connected, version, socket: path },
      connections: [...this.#links.values()].map(link => link.status(sas)),
      alarms: this.#alarms.list(),
    }
  }

  async rotate(connection?: string, options: AbortOptions = {}): Promise<void> {
    this.#refuseClosed()
    const links = connection === undefined ? this.#ownRotations() : [this.#named(connection)]
    const outcomes = await Promise.allSettled(links.map(link => link.rotate(options)))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  reconcile(options: AbortOptions = {}): Promise<ReconcileReport> {
    this.#reconciling ??= this.#reconcile(options).finally(() => {
      this.#reconciling = undefined
    })
    return this.#reconciling
  }

  handleUpdown(event: UpdownEvent): void {
    this.#calls = this.#calls.then(() => this.#takeUpdown(event))
  }

  onEvent(listener: (event: IpsecAgentEvent) => void): Unsubscribe {
    return this.#events.add(listener)
  }

  close(options: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(options: AbortOptions): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.#strangers].map(channel => channel.close()))
    await Promise.all([...this.#links.values()].map(link => link.close(options)))
    this.#stop.abort(new ClosedError('The agent is closed'))
    await this.#reconciling?.catch(() => {})
    await this.#calls
    await this.#charon.close()
    this.#events.clear()
  }

  #link(connection: IpsecConnectionConfig, context: LinkContext): Link {
    const { config, dial } = this.#options
    const store = new LinkStore(config.stateDir, connection.name)
    if (connection.mode === 'vendor') return new VendorLink(connection, store, context)
    if (connection.role === 'responder') return new ResponderLink(connection, store, context)
    // That the peer is listed was checked.
    const peer = config.peers.find(({ saeId }) => saeId === connection.peer)!
    return new InitiatorLink(connection, store, context, { peer, dial })
  }

  async #provision(contact: Required<AbortOptions>): Promise<void> {
    for (const link of this.#links.values()) await this.#apart(link, contact, () => link.provision(contact))
    for (const sa of await this.#charon.sas(undefined, contact)) {
      for (const { name } of sa.children) this.#updown.seed(name, sa.uniqueId)
    }
    // What came up while nobody listened, and keys that an agent before this one has left.
    await this.#repairAll(contact)
  }

  #ready(): void {
    this.#alarms.clear({ id: 'charon-unreachable', connection: undefined })
    this.#events.emit({ type: 'charon', connected: true, version: this.#charon.version })
    for (const link of this.#links.values()) link.onCharon()
  }

  #lost(error: unknown): void {
    const alarm = {
      id: 'charon-unreachable',
      connection: undefined,
      severity: 'critical',
      text: reasonOf(error),
    } as const
    this.#alarms.raise(alarm)
    // A charon that was restarted counts its IKE_SAs anew, and calls no hook for those that are gone.
    this.#updown.clear()
    this.#events.emit({ type: 'charon', connected: false, version: this.#charon.version })
  }

  async #reconcile(options: AbortOptions): Promise<ReconcileReport> {
    this.#refuseClosed()
    if (!this.#charon.connected) throw new ClosedError(`charon can't be reached at ${this.#charon.path}`)
    return await this.#repairAll(options)
  }

  async #repairAll(options: AbortOptions): Promise<ReconcileReport> {
    const [connections, keys, sas] = await Promise.all([
      this.#charon.connections(undefined, options),
      this.#charon.keys(options),
      this.#charon.sas(undefined, options),
    ])
    const found = { connections, keys, sas }
    const [provisioned, unloaded]: [string[], string[]] = [[], []]
    for (const link of this.#links.values()) {
      const repair = await this.#apart(link, options, () => link.repair(found, options))
      unloaded.push(...(repair?.unloaded ?? []))
      if (!repair?.provisioned) continue
      provisioned.push(link.name)
      this.#events.emit({ type: 'provisioned', connection: link.name, reason: 'charon had lost it' })
    }
    return { connections: provisioned, unloaded }
  }

  /** One connection that charon refuses holds up no other. */
  async #apart<T>(link: Link, { signal }: AbortOptions, work: () => Promise<T>): Promise<T | undefined> {
    try {
      const done = await work()
      link.clear('not-provisioned')
      return done
    } catch (error) {
      signal?.throwIfAborted()
      // Only what charon has refused says which command it was.
      if (!(error instanceof ViciError) || error.details.length === 0) throw error
      link.raise('not-provisioned', 'critical', reasonOf(error))
      return undefined
    }
  }

  async #welcome(raw: MessageChannel): Promise<void> {
    const channel = new PeerChannel(raw)
    using deadline = startDeadline(this.#stop.signal, HELLO_TIMEOUT_MS)
    const hello = await channel.receive(deadline)
    if (hello.type !== 'hello') throw new InvalidArgumentError(`"${hello.type}" can't open a channel`)
    const link = this.#links.get(hello.connection)
    const code = refusalOf(hello, raw.peerId, link?.config)
    if (code === undefined && link instanceof ResponderLink) return await link.serve(channel, hello.committed)
    if (code === 'role-conflict') {
      link?.raise('role-conflict', 'critical', 'Both ends have the role "initiator": set "responder" at one of them')
    }
    await channel.send({ type: 'refusal', code: code ?? 'mode-mismatch' }, deadline)
    throw new ConfigError(`Connection "${hello.connection}" of ${raw.peerId} is not served: ${code}`)
  }

  async #takeUpdown(event: UpdownEvent): Promise<void> {
    const { now = Date.now } = this.#options
    if (this.#charon.connected && now() - event.atMs < NAMING_TIMEOUT_MS) {
      // The hook may be quicker than charon's log, which says what the IKE_SA stands on.
      using deadline = startDeadline(this.#stop.signal, NAMING_TIMEOUT_MS)
      await this.#charon.watch.named(event.uniqueId, deadline).catch(() => {})
    }
    const seen = this.#charon.watch.seen(event.uniqueId)
    const { direction, edge } = this.#updown.take(event)
    const link = this.#links.get(seen?.connection ?? '') ?? this.#withChild(event.child)
    const keyId = link?.keyIdOf(seen?.ppkId) ?? (link?.config.mode === 'psk' ? link.current?.keyId : undefined)
    this.#events.emit({ type: 'updown', connection: link?.name, keyId, direction, edge, event })
  }

  #named(connection: string): Link {
    const link = this.#links.get(connection)
    if (link !== undefined) return link
    const known = [...this.#links.keys()].join(', ')
    throw new InvalidArgumentError(`There is no connection "${connection}"; there are ${known}`)
  }

  #ownRotations(): Link[] {
    return [...this.#links.values()].filter(link => !(link instanceof VendorLink))
  }

  #withChild(child: string): Link | undefined {
    const having = [...this.#links.values()].filter(({ config }) => config.children.some(({ name }) => name === child))
    return having.length === 1 ? having[0] : undefined
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw new ClosedError('The agent is closed')
  }
}
