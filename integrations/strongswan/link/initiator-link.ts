import {
  type AbortOptions,
  abortable,
  BackOff,
  ClosedError,
  ConfigError,
  delay,
  type MessageChannel,
  ProtocolError,
  startDeadline,
} from '../../../lib/index.ts'
import type { IpsecConnectionConfig, IpsecPeerConfig } from '../agent-config.ts'
import { PeerChannel } from '../peer/peer-channel.ts'
import type { PeerRefusal } from '../peer/peer-message.ts'
import type { ListedSa } from '../vici/commands.ts'
import { InitiatorRotation, RotationFailed } from './initiator-rotation.ts'
import { Link, type LinkContext } from './link.ts'
import type { LinkStore } from './link-record.ts'
import { reasonOf } from './rotation-fault.ts'
import { Wake } from './wake.ts'

/** How long the other agent may take to open a channel, in milliseconds. */
const MEET_TIMEOUT_MS = 5_000
/** The shortest pause after a failed rotation, in milliseconds: charon meets quick repetitions with cookies, then silence. */
const MIN_PAUSE_MS = 1_000
const MAX_PAUSE_MS = 60_000
/** Pause before another channel takes the place of one that was lost, in milliseconds. */
const REDIAL_PAUSE_MS = 200
/** How long `close()` waits for a rotation that is under way, in milliseconds. */
const DRAIN_MS = 10_000

const REFUSALS: Readonly<Record<PeerRefusal, string>> = {
  'role-conflict': 'both ends have the role "initiator": set "responder" at one of them',
  'unknown-connection': 'the other end has no connection of that name: add it there',
  'mode-mismatch': 'the two ends name different modes: set the same at both',
  'identity-mismatch': 'the IKE identities of the two ends do not fit: local.id here must be remote.id there, and back',
  'wrong-peer': 'the other end expects another SAE as the peer of this connection',
}

/** Opens a channel to the agent of a peer. */
export type Dial = (peer: IpsecPeerConfig, options: Required<AbortOptions>) => Promise<MessageChannel>

/** What an `InitiatorLink` needs besides what all links do. */
export interface InitiatorOptions {
  readonly peer: IpsecPeerConfig
  readonly dial: Dial
}

interface Waiter {
  resolve(): void
  reject(error: unknown): void
}

/** The end that takes the keys: meets the other agent, and rotates when it is time. */
export class InitiatorLink extends Link {
  readonly #options: InitiatorOptions
  readonly #stop = new AbortController()
  readonly #wake = new Wake()
  /** Not those of one rotation after the other, but those of a row without a success. */
  readonly #backOff = new BackOff({ minMs: 2 * MIN_PAUSE_MS, maxMs: MAX_PAUSE_MS })
  readonly #waiters = new Set<Waiter>()
  #channel: PeerChannel | undefined
  #running: Promise<void> | undefined
  #wanted: string | undefined
  #notBeforeMs = 0
  #lastFailureMs = Number.NEGATIVE_INFINITY
  #peerEpoch = 0
  #draining = false

  constructor(config: IpsecConnectionConfig, store: LinkStore, context: LinkContext, options: InitiatorOptions) {
    super(config, store, context)
    this.#options = options
  }

  get peerConnected(): boolean {
    return this.#channel !== undefined && !this.#channel.closed
  }

  get nextRotationMs(): number | undefined {
    const { current } = this
    const dueMs =
      current?.uniqueId === undefined ? this.context.now() : current.sinceMs + this.config.rotation.everySeconds * 1000
    return Math.max(dueMs, this.#notBeforeMs)
  }

  override async open(): Promise<void> {
    await super.open()
    if (this.store.record.pending === null) return
    await this.store.burn()
    this.#wanted = 'the agent was stopped in the middle of a rotation'
  }

  /** @throws {ConfigError} the other end is an initiator too */
  async start({ signal }: Required<AbortOptions>): Promise<void> {
    let onMet: (outcome: unknown) => void = () => {}
    const met = new Promise<unknown>(resolve => {
      onMet = resolve
    })
    this.#running = this.#run(onMet)
    const outcome = await abortable(met, { signal })
    // Anything else that the peer refuses may be set right there while this agent runs.
    if (outcome instanceof ConfigError && outcome.details[0]?.code === 'role-conflict') throw outcome
  }

  async close({ signal }: AbortOptions): Promise<void> {
    this.#draining = true
    this.#wake.call()
    // A rotation that is cut short costs a key and a moment of doubt.
    const drained = startDeadline(signal, DRAIN_MS)
    if (this.state !== 'idle') await abortable(this.#idle(), drained).catch(() => {})
    drained[Symbol.dispose]()
    this.#stop.abort(new ClosedError('The agent is closed'))
    await this.#channel?.close()
    await this.#running
    this.stock.wipe()
  }

  rotate({ signal }: AbortOptions): Promise<void> {
    let waiter: Waiter | undefined
    const done = new Promise<void>((resolve, reject) => {
      waiter = { resolve, reject }
      this.#waiters.add(waiter)
    })
    this.want('it was asked for')
    return abortable(done, { signal }).finally(() => this.#waiters.delete(waiter!))
  }

  /** Makes a rotation due now. */
  want(reason: string): void {
    this.#wanted ??= reason
    this.#wake.call()
  }

  restingVariant() {
    // A PPK_ID that no key has: what charon might begin by itself comes to nothing.
    const generation = this.store.record.committed?.epoch
    return this.config.mode === 'psk' ? { generation } : { ppkId: this.ppkIdOf('none') }
  }

  onDown(reason: string): void {
    this.want(reason)
  }

  override onCharon(): void {
    this.#wake.call()
  }

  override async inspect(sas: readonly ListedSa[], options: AbortOptions): Promise<void> {
    await super.inspect(sas, options)
    const { bytes = Number.POSITIVE_INFINITY, packets = Number.POSITIVE_INFINITY } = this.config.rotation
    const { total } = this.meter
    if (total.bytes >= bytes || total.packets >= packets) this.want('the key has carried what it may')
    const { current } = this
    if (this.state !== 'idle' || current?.uniqueId === undefined) return
    // What a rotation before could not take down.
    const stale = sas.filter(sa => sa.uniqueId !== current.uniqueId && sa.state === 'ESTABLISHED')
    if (sas.some(sa => sa.uniqueId === current.uniqueId && sa.state === 'ESTABLISHED')) {
      await this.terminateAll(
        stale.map(({ uniqueId }) => uniqueId),
        options,
      )
    }
  }

  async #run(onMet: (outcome: unknown) => void): Promise<void> {
    const { signal } = this.#stop
    const pause = new BackOff({ minMs: 500, maxMs: 10_000 })
    // Each channel may cost a key, and a peer that refuses must be set right by a person first.
    const refusedPause = new BackOff({ minMs: 5_000, maxMs: 60_000 })
    while (!signal.aborted && !this.#draining) {
      try {
        const channel = await this.#meet(signal)
        pause.reset()
        refusedPause.reset()
        onMet(undefined)
        await this.#serve(channel)
        // Each channel may cost a key.
        if (!this.#draining) await delay(REDIAL_PAUSE_MS, { signal }).catch(() => {})
      } catch (error) {
        if (signal.aborted) break
        onMet(error)
        this.#failWaiters(error)
        this.#blame(error)
        const waitMs = (error instanceof ConfigError ? refusedPause : pause).nextMs()
        await this.#wake.sleep(waitMs, { signal }).catch(() => {})
      }
    }
    onMet(undefined)
    this.#failWaiters(new ClosedError('The agent is closed'))
  }

  async #meet(signal: AbortSignal): Promise<PeerChannel> {
    using deadline = startDeadline(signal, MEET_TIMEOUT_MS)
    const { name, role, mode, local, remote } = this.config
    const raw = await this.#options.dial(this.#options.peer, { signal: deadline.signal })
    const channel = new PeerChannel(raw, reason => this.#hearWanted(reason))
    try {
      const { epoch, committed } = this.store.record
      const ids = [local.id, remote.id]
      const key = committed && { epoch: committed.epoch, keyId: committed.keyId }
      const hello = { type: 'hello', connection: name, role, mode, ids, epoch, committed: key } as const
      await channel.send(hello, { signal: deadline.signal })
      const answer = await channel.receive({ signal: deadline.signal })
      if (answer.type === 'refusal') throw refused(name, answer.code)
      if (answer.type !== 'welcome') throw new ProtocolError(`"${answer.type}" is no answer to "hello"`)
      this.#peerEpoch = answer.epoch
      this.#channel = channel
      for (const id of ['peer-unreachable', 'peer-refuses']) this.clear(id)
      this.context.emit({ type: 'peer', connection: name, connected: true })
      return channel
    } catch (error) {
      await channel.close()
      throw error
    }
  }

  /** Rotates when it is time, for as long as the channel stands. */
  async #serve(channel: PeerChannel): Promise<void> {
    const { signal } = this.#stop
    void channel.over.then(() => this.#wake.call())
    while (!channel.closed && !signal.aborted && !this.#draining) {
      const waitMs = this.#dueInMs()
      if (waitMs > 0) await this.#wake.sleep(waitMs, { signal }).catch(() => {})
      else await this.#rotateNow(channel)
    }
    await channel.close()
    this.context.emit({ type: 'peer', connection: this.name, connected: false })
  }

  #dueInMs(): number {
    if (!this.context.charon.connected) {
      this.#failWaiters(new ClosedError("charon can't be reached"))
      return Number.POSITIVE_INFINITY
    }
    const nowMs = this.context.now()
    if (this.#waiters.size > 0) return this.#lastFailureMs + MIN_PAUSE_MS - nowMs
    if (this.#wanted !== undefined) return this.#notBeforeMs - nowMs
    return (this.nextRotationMs ?? nowMs) - nowMs
  }

  async #rotateNow(channel: PeerChannel): Promise<void> {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    this.#wanted = undefined
    const epoch = Math.max(this.store.record.epoch, this.#peerEpoch) + 1
    this.#peerEpoch = epoch
    try {
      const rotation = new InitiatorRotation(this, channel, { epoch, signal: this.#stop.signal })
      const { keyId, uniqueId, times } = await rotation.run()
      this.#backOff.reset()
      this.#notBeforeMs = 0
      this.inUse(keyId, uniqueId, { epoch, times })
      for (const { resolve } of waiters) resolve()
    } catch (error) {
      const retryInMs = Math.max(MIN_PAUSE_MS, this.#backOff.nextMs())
      this.#lastFailureMs = this.context.now()
      this.#notBeforeMs = this.#lastFailureMs + retryInMs
      this.#wanted = 'the last rotation failed'
      const { burnedKeyId, cause } = error as RotationFailed
      this.failed(cause, { epoch, burnedKeyId, retryInMs })
      for (const { reject } of waiters) reject(cause)
      if (!(error instanceof RotationFailed)) await channel.close()
    } finally {
      this.#onIdle()
    }
  }

  #blame(error: unknown): void {
    if (error instanceof ConfigError) this.raise('peer-refuses', 'critical', error.message)
    else
      this.raise('peer-unreachable', 'minor', `The agent of ${this.config.peer} can't be reached: ${reasonOf(error)}`)
  }

  /** A rotation that is under way gives the other end what it wants. */
  #hearWanted(reason: string): void {
    if (this.state === 'idle') this.want(reason)
  }

  #failWaiters(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error)
    this.#waiters.clear()
  }

  #onIdle: () => void = () => {}

  #idle(): Promise<void> {
    return new Promise(resolve => {
      this.#onIdle = resolve
    })
  }
}

function refused(connection: string, code: PeerRefusal): ConfigError {
  return new ConfigError(`Connection "${connection}": ${REFUSALS[code]}`, { details: [{ connection, code }] })
}
