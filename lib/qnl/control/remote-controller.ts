import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, createQkdError, InvalidArgumentError, isQkdErrorCode, ProtocolError } from '../../errors.ts'
import type { AbortOptions, Unsubscribe } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type {
  DrainTarget,
  NetworkController,
  NetworkEvent,
  NetworkStatus,
  NodeSeat,
} from '../../interface/network-controller.ts'
import type { NodePlan, NodeReport } from '../../interface/network-node.ts'
import { BackOff, type BackOffOptions } from '../../util/back-off.ts'
import { abortable, requireInteger } from '../../util/deadline.ts'
import { debugLogger } from '../../util/debug-logger.ts'
import { Listeners } from '../../util/listeners.ts'
import {
  CONTROL_WIRE_VERSION,
  type ControlCall,
  decodeFromController,
  encodeControl,
  type ToController,
} from './control-message.ts'
import { ControlStream } from './control-stream.ts'

/** Calls that may wait for an answer. */
const MAX_CALLS = 16
/** How long a controller may take to say who it is, in milliseconds; replicas that do not lead never do. */
const HELLO_MS = 2000

/** Opens a channel to a controller; the one who gets it closes it. */
export type DialController = (options: { signal: AbortSignal }) => Promise<MessageChannel>

/** Which controllers to reach, and for whom. */
export interface RemoteControllerOptions {
  /** The site whose node joins; left out by who only watches. */
  readonly siteId?: string
  /** One for each replica; tried in turn until one leads. */
  readonly dials: readonly DialController[]
  /** Pauses after a round without success. Default from 100 ms to 2 s. */
  readonly backOff?: BackOffOptions
  readonly logger?: Logger
}

/**
 * The controller of the network in another process. A lost connection is opened again, with the next replica first; what was
 * reported last is said again, and the plan in force stays until a new one comes. Calls wait for a controller until their
 * signal aborts.
 */
export function createRemoteController(options: RemoteControllerOptions): NetworkController {
  if (options.dials.length === 0) throw new InvalidArgumentError('dials must name at least one controller')
  return new RemoteController(options)
}

interface OpenCall {
  readonly call: ControlCall
  resolve(value: unknown): void
  reject(reason: unknown): void
}

class RemoteController implements NetworkController {
  readonly #options: RemoteControllerOptions
  readonly #backOff: BackOff
  readonly #logger: Logger
  readonly #closing = new AbortController()
  readonly #calls = new Map<number, OpenCall>()
  readonly #listeners = new Listeners<NetworkEvent>()
  readonly #running: Promise<void>
  #stream: ControlStream | undefined
  #greeted = false
  #seat: RemoteSeat | undefined
  #lastId = 0

  constructor(options: RemoteControllerOptions) {
    this.#options = options
    this.#backOff = new BackOff({ maxMs: 2000, ...options.backOff })
    this.#logger = options.logger ?? debugLogger('qnl')
    this.#running = this.#run()
  }

  join(siteId: string, onPlan: (plan: NodePlan) => void): NodeSeat {
    this.#requireOpen()
    if (siteId !== this.#options.siteId) {
      throw new InvalidArgumentError(
        `This connection speaks for "${this.#options.siteId ?? 'no site'}", not "${siteId}"`,
      )
    }
    void this.#seat?.close()
    const seat = new RemoteSeat(siteId, {
      send: message => this.#seat === seat && this.#send(message),
      left: () => {
        if (this.#seat === seat) this.#seat = undefined
      },
      onPlan,
    })
    this.#seat = seat
    seat.sayAgain()
    return seat
  }

  async status({ signal }: AbortOptions = {}): Promise<NetworkStatus> {
    return (await this.#call({ op: 'status' }, signal)) as NetworkStatus
  }

  async drain(target: DrainTarget, options: AbortOptions & { fillMs?: number } = {}): Promise<readonly string[]> {
    const fillMs = requireInteger('fillMs', options.fillMs ?? 30_000, { min: 0, max: 86_400_000 })
    return (await this.#call({ op: 'drain', target, fillMs }, options.signal)) as string[]
  }

  async restore(target: DrainTarget, { signal }: AbortOptions = {}): Promise<readonly string[]> {
    return (await this.#call({ op: 'restore', target }, signal)) as string[]
  }

  onEvent(listener: (event: NetworkEvent) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }

  async close(): Promise<void> {
    const seat = this.#seat
    await seat?.close()
    this.#closing.abort(new ClosedError('The connection to the controller is closed'))
    this.#stream?.end()
    for (const { reject } of this.#calls.values()) reject(this.#closing.signal.reason)
    this.#calls.clear()
    this.#listeners.clear()
    await this.#running
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #call(call: ControlCall, signal: AbortSignal | undefined): Promise<unknown> {
    this.#requireOpen()
    signal?.throwIfAborted()
    if (this.#calls.size >= MAX_CALLS) throw new InvalidArgumentError(`${MAX_CALLS} calls wait for the controller`)
    this.#lastId += 1
    const id = this.#lastId
    const answered = new Promise((resolve, reject) => this.#calls.set(id, { call, resolve, reject }))
    this.#send({ type: 'call', id, call })
    try {
      return await abortable(answered, { signal })
    } finally {
      this.#calls.delete(id)
    }
  }

  /** Tries one replica after the other, and holds the connection to the one that answers. */
  async #run(): Promise<void> {
    const { dials } = this.#options
    const { signal } = this.#closing
    for (let at = 0; !signal.aborted; at += 1) {
      const cause = await this.#connectOnce(dials[at % dials.length]!).catch((error: unknown) => error)
      if (signal.aborted) return
      this.#logger.warn({ controller: at % dials.length, reason: String(cause) }, 'No connection to the controller')
      if ((at + 1) % dials.length !== 0) continue
      await sleep(this.#backOff.nextMs(), undefined, { signal }).catch(() => {})
    }
  }

  async #connectOnce(dial: DialController): Promise<unknown> {
    const { signal } = this.#closing
    const channel = await dial({ signal })
    const stream = new ControlStream(channel, bytes => this.#take(bytes))
    this.#stream = stream
    const giveUp = () => this.#greeted || stream.end(new ProtocolError(`No hello within ${HELLO_MS} ms`))
    const timer = setTimeout(giveUp, HELLO_MS).unref()
    if (signal.aborted) stream.end()
    const cause = await stream.ended
    clearTimeout(timer)
    this.#stream = undefined
    this.#greeted = false
    return cause
  }

  #take(bytes: Uint8Array): void {
    const message = decodeFromController(bytes)
    switch (message.type) {
      case 'hello':
        if (message.version !== CONTROL_WIRE_VERSION) {
          throw new ProtocolError(`The controller speaks version ${message.version}, this end ${CONTROL_WIRE_VERSION}`)
        }
        this.#greet()
        return
      case 'plan':
        this.#seat?.onPlan(message.plan)
        return
      case 'event':
        this.#listeners.emit(message.event)
        return
      case 'answer':
        this.#calls.get(message.id)?.resolve(message.value)
        return
      case 'failure': {
        const code = isQkdErrorCode(message.code) ? message.code : 'ERR_QKD_PROTOCOL'
        this.#calls.get(message.id)?.reject(createQkdError(code, message.message))
      }
    }
  }

  /** The controller has answered: it learns of the node, and of the calls that wait. */
  #greet(): void {
    this.#greeted = true
    this.#backOff.reset()
    this.#seat?.sayAgain()
    for (const [id, { call }] of this.#calls) this.#send({ type: 'call', id, call })
  }

  #send(message: ToController): void {
    if (this.#greeted) this.#stream?.send(encodeControl(message))
  }

  #requireOpen(): void {
    if (this.#closing.signal.aborted) throw this.#closing.signal.reason
  }
}

interface SeatPort {
  send(message: ToController): void
  left(): void
  onPlan(plan: NodePlan): void
}

class RemoteSeat implements NodeSeat {
  readonly siteId: string
  readonly #port: SeatPort
  #last: NodeReport | undefined
  #closed = false

  constructor(siteId: string, port: SeatPort) {
    this.siteId = siteId
    this.#port = port
  }

  report(report: NodeReport): void {
    if (this.#closed) return
    this.#last = report
    this.#port.send({ type: 'report', report })
  }

  /** To a controller that knows nothing of the node. */
  sayAgain(): void {
    this.#port.send({ type: 'join', siteId: this.siteId })
    if (this.#last !== undefined) this.#port.send({ type: 'report', report: this.#last })
  }

  onPlan(plan: NodePlan): void {
    if (!this.#closed) this.#port.onPlan(plan)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#port.send({ type: 'leave', siteId: this.siteId })
    this.#closed = true
    this.#port.left()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
