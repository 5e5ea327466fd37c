import {
  type AbortOptions,
  abortable,
  BackOff,
  type Closable,
  ClosedError,
  delay,
  eitherSignal,
  Listeners,
  Slots,
  type Unsubscribe,
  ViciError,
} from '../../../lib/index.ts'
import { type ViciCallOptions, ViciConnection, type ViciEvent } from './connection.ts'
import type { ViciSection } from './message.ts'
import { encodeViciPacket } from './packet.ts'

/** Options of `ViciSession`. */
export interface ViciSessionOptions {
  /** Path of charon's socket. */
  readonly path: string
  /** Events to hear of; those that this charon does not know are left out. */
  readonly events: readonly string[]
  /**
   * Called on each new contact, before it counts: what charon must have after a restart. The contact is given up and tried
   * again if it rejects.
   */
  readonly onConnect: (options: Required<AbortOptions>) => Promise<void>
  /** Called when contact counts. Default: nothing. */
  readonly onReady?: () => void
  /** Called when contact is lost. */
  readonly onDisconnect: (error: ViciError) => void
}

/** Commands under way at once; charon has 16 threads for all that it does. */
const MAX_CONNECTIONS = 6
/** Commands under way and waiting together. */
const MAX_COMMANDS = 4_096

/**
 * The way to one charon: a connection for events that tells at once when charon is gone, and a few for commands, so that one
 * that waits for a gateway far away holds up no other. Connects again for as long as it is open.
 */
export class ViciSession implements Closable {
  readonly #options: ViciSessionOptions
  readonly #listeners = new Listeners<ViciEvent>()
  readonly #idle: ViciConnection[] = []
  readonly #open = new Set<ViciConnection>()
  readonly #slots = new Slots(MAX_CONNECTIONS)
  readonly #stop = new AbortController()
  #events: ViciConnection | undefined
  #ready = false
  #commands = 0
  #running: Promise<void> | undefined

  constructor(options: ViciSessionOptions) {
    this.#options = options
  }

  /** True while charon is there and has what it must have. */
  get connected(): boolean {
    return this.#ready
  }

  /**
   * Begins to connect; resolves at the first contact or the first failure, which is tried again all the same.
   * Resolves with what went wrong, or undefined.
   */
  start({ signal }: AbortOptions = {}): Promise<unknown> {
    const first = new Promise<unknown>(resolve => {
      this.#running ??= this.#run(resolve)
    })
    return abortable(first, { signal })
  }

  /** Calls `listener` for each event of charon, in order. */
  onEvent(listener: (event: ViciEvent) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  /**
   * Runs a command and gives charon's answer, as it is. The message is encoded at once: bytes in it may be wiped as soon as
   * the call has returned its promise, and the encoded ones are wiped here.
   */
  request(command: string, message: ViciSection = {}, options: ViciCallOptions = {}): Promise<ViciSection> {
    const packet = encodeViciPacket({ kind: 'request', name: command, message })
    return this.#withConnection(options, packet, connection => connection.request(packet, command, options))
  }

  /** Runs a command that answers in events, and gives the messages of these. */
  stream(
    command: string,
    event: string,
    message: ViciSection = {},
    options: ViciCallOptions = {},
  ): Promise<ViciSection[]> {
    const packet = encodeViciPacket({ kind: 'request', name: command, message })
    return this.#withConnection(options, packet, async connection => {
      const messages: ViciSection[] = []
      if (!(await connection.register(event, options))) throw new ViciError(`This charon has no event ${event}`)
      const stop = connection.onEvent(heard => heard.name === event && messages.push(heard.message))
      try {
        await connection.request(packet, command, options)
      } finally {
        stop()
      }
      await connection.unregister(event, options)
      return messages
    })
  }

  /** Closes every connection; what is under way is rejected. */
  async close(): Promise<void> {
    this.#stop.abort(new ClosedError('The session with charon is closed'))
    this.#events?.close()
    this.#dropAll()
    await this.#running
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run(onFirst: (problem: unknown) => void): Promise<void> {
    const backOff = new BackOff({ minMs: 50, maxMs: 500 })
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const { lost } = await this.#connect(signal)
        backOff.reset()
        onFirst(undefined)
        await lost
      } catch (error) {
        onFirst(error)
      }
      await delay(backOff.nextMs(), { signal }).catch(() => {})
    }
    onFirst(signal.reason)
  }

  /** Resolves once contact stands; `lost` resolves when it no longer does. */
  async #connect(signal: AbortSignal): Promise<{ lost: Promise<void> }> {
    const { path, events, onConnect, onReady = () => {}, onDisconnect } = this.#options
    const contact = new AbortController()
    const connection = await ViciConnection.open(path, { signal })
    const lost = new Promise<void>(resolve => {
      connection.onClose(() => {
        contact.abort(new ViciError(`Contact with charon at ${path} was lost`))
        resolve()
      })
    })
    try {
      connection.onEvent(event => this.#listeners.emit(event))
      for (const event of events) await connection.register(event, { signal })
      this.#events = connection
      await onConnect({ signal: eitherSignal(signal, contact.signal) })
      this.#ready = !connection.closed
      if (this.#ready) onReady()
    } catch (error) {
      this.#events = undefined
      connection.close()
      throw error
    }
    const told = lost.then(() => {
      this.#events = undefined
      this.#ready = false
      this.#dropAll()
      onDisconnect(new ViciError(`Contact with charon at ${path} was lost`))
    })
    return { lost: told }
  }

  /** Idle connections lead to a charon that is gone; those in use tell by themselves. */
  #dropAll(): void {
    for (const connection of this.#open) connection.close()
    this.#idle.length = 0
  }

  async #withConnection<T>(
    { signal }: AbortOptions,
    packet: Buffer,
    use: (connection: ViciConnection) => Promise<T>,
  ): Promise<T> {
    this.#commands += 1
    try {
      this.#stop.signal.throwIfAborted()
      if (this.#commands > MAX_COMMANDS) throw new ViciError(`${MAX_COMMANDS} commands wait for charon already`)
      await this.#slots.acquire({ signal })
      return await this.#onConnection(signal, use).finally(() => this.#slots.release())
    } finally {
      this.#commands -= 1
      packet.fill(0)
    }
  }

  async #onConnection<T>(signal: AbortSignal | undefined, use: (connection: ViciConnection) => Promise<T>): Promise<T> {
    const connection = this.#idle.pop() ?? (await this.#dial(signal))
    try {
      return await use(connection)
    } finally {
      if (!connection.closed && !this.#stop.signal.aborted) this.#idle.push(connection)
    }
  }

  async #dial(signal: AbortSignal | undefined): Promise<ViciConnection> {
    const connection = await ViciConnection.open(this.#options.path, { signal })
    if (this.#stop.signal.aborted) {
      connection.close()
      throw this.#stop.signal.reason
    }
    this.#open.add(connection)
    connection.onClose(() => {
      this.#open.delete(connection)
      const at = this.#idle.indexOf(connection)
      if (at !== -1) this.#idle.splice(at, 1)
    })
    return connection
  }
}
