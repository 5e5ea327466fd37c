import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import {
  type AbortOptions,
  Listeners,
  ProtocolError,
  requireInteger,
  startDeadline,
  type Unsubscribe,
  ViciError,
} from '../../../lib/index.ts'
import type { ViciSection } from './message.ts'
import { decodeViciPacket, encodeViciPacket, type OutgoingPacket, PacketReader, type ViciPacket } from './packet.ts'

/** Something that charon tells unasked. */
export interface ViciEvent {
  readonly name: string
  readonly message: ViciSection
}

/** Options of every exchange with charon. */
export interface ViciCallOptions extends AbortOptions {
  /** How long to wait for the answer, in milliseconds; charon gives none to what it can't read. Default 5,000. */
  readonly timeoutMs?: number
}

type Answer = Exclude<ViciPacket, { kind: 'event' }>

interface Waiting {
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/**
 * One connection to charon's vici plugin: one exchange at a time, events whenever they come. What fails in the middle of an
 * exchange closes the connection, because an answer that comes late would be taken for the next one's.
 */
export class ViciConnection {
  readonly #socket: Socket
  readonly #path: string
  readonly #packets = new PacketReader()
  readonly #events = new Listeners<ViciEvent>()
  #waiting: Waiting | undefined
  #failure: unknown

  private constructor(socket: Socket, path: string) {
    this.#socket = socket
    this.#path = path
    socket.on('data', chunk => this.#take(chunk))
    // What goes wrong is told by `close` in the same moment.
    socket.on('error', error => {
      this.#failure ??= error
    })
    socket.on('close', () => this.#fail(this.#failure))
  }

  /**
   * Connects to the socket at `path`.
   * @throws {ViciError} nobody listens there, or not for us
   */
  static async open(path: string, { signal, timeoutMs }: ViciCallOptions = {}): Promise<ViciConnection> {
    using deadline = startDeadline(signal, requireTime(timeoutMs))
    const socket = createConnection({ path })
    try {
      await once(socket, 'connect', { signal: deadline.signal })
    } catch (cause) {
      socket.on('error', () => {}).destroy()
      if (deadline.signal.aborted) throw deadline.signal.reason
      throw unreachable(path, cause)
    }
    return new ViciConnection(socket, path)
  }

  get closed(): boolean {
    return this.#socket.destroyed
  }

  /** Called once, when the connection is lost or closed. */
  onClose(listener: () => void): void {
    if (this.#socket.closed) listener()
    else this.#socket.once('close', listener)
  }

  /** Calls `listener` for each event that was registered for, in order. */
  onEvent(listener: (event: ViciEvent) => void): Unsubscribe {
    return this.#events.add(listener)
  }

  /**
   * Runs a command, whose packet `encodeViciPacket` made, and gives charon's answer; the packet is wiped in any case.
   * @throws {ViciError} charon does not know the command, or the connection was lost
   * @throws {DOMException} (`TimeoutError`) no answer came in time
   */
  async request(packet: Buffer, command: string, options: ViciCallOptions = {}): Promise<ViciSection> {
    const answer = await this.#exchange(packet, options)
    if (answer.kind === 'response') return answer.message
    if (answer.kind === 'unknown-command') throw new ViciError(`This charon does not know the command ${command}`)
    throw this.#misfit(answer)
  }

  /** Asks for events of that name; false where this charon has none. */
  async register(event: string, options?: ViciCallOptions): Promise<boolean> {
    return await this.#subscribe({ kind: 'register', name: event }, options)
  }

  /** Asks for no more of them. */
  async unregister(event: string, options?: ViciCallOptions): Promise<boolean> {
    return await this.#subscribe({ kind: 'unregister', name: event }, options)
  }

  /** Closes at once; an exchange under way is rejected. Idempotent. */
  close(): void {
    this.#socket.destroy()
  }

  async #subscribe(packet: OutgoingPacket, options: ViciCallOptions = {}): Promise<boolean> {
    const answer = await this.#exchange(encodeViciPacket(packet), options)
    if (answer.kind === 'confirmation') return true
    if (answer.kind === 'unknown-event') return false
    throw this.#misfit(answer)
  }

  async #exchange(packet: Buffer, { signal, timeoutMs }: ViciCallOptions): Promise<Answer> {
    try {
      if (this.closed) throw this.#lost()
      if (this.#waiting !== undefined) throw new ViciError('An exchange is under way on this connection: one at a time')
      using deadline = startDeadline(signal, requireTime(timeoutMs))
      return await this.#await(packet, deadline.signal)
    } finally {
      packet.fill(0)
    }
  }

  async #await(packet: Buffer, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted()
    const onAbort = () => {
      this.#fail(signal.reason, { asIs: true })
      this.#socket.destroy()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      // The bytes lie in our buffer until the system has them, so nobody may wipe it before.
      const written = new Promise<void>(resolve => this.#socket.write(packet, () => resolve()))
      const answered = new Promise<Answer>((resolve, reject) => {
        this.#waiting = { resolve, reject }
      })
      const [answer] = await Promise.all([answered, written])
      return answer
    } finally {
      this.#waiting = undefined
      signal.removeEventListener('abort', onAbort)
    }
  }

  #take(chunk: Buffer): void {
    try {
      for (const bytes of this.#packets.push(chunk)) {
        const packet = decodeViciPacket(bytes)
        if (packet.kind === 'event') this.#events.emit(packet)
        else if (this.#waiting === undefined) throw new ProtocolError('charon answers what nobody asked')
        else {
          const { resolve } = this.#waiting
          this.#waiting = undefined
          resolve(packet)
        }
      }
    } catch (error) {
      this.#socket.destroy(error as Error)
    }
  }

  #misfit(answer: Answer): ProtocolError {
    const error = new ProtocolError(`charon's answer is a ${answer.kind}, which does not fit the question`)
    this.#socket.destroy(error)
    return error
  }

  #fail(error: unknown, { asIs = error instanceof ProtocolError } = {}): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(asIs ? error : this.#lost())
  }

  #lost(): ViciError {
    const why = this.#failure instanceof Error ? `: ${this.#failure.message}` : ''
    return new ViciError(`The connection to charon at ${this.#path} was lost${why}`)
  }
}

function requireTime(timeoutMs = 5_000): number {
  return requireInteger('timeoutMs', timeoutMs, { min: 1, max: 2 ** 31 - 1 })
}

function unreachable(path: string, cause: unknown): ViciError {
  const { code, message } = cause as NodeJS.ErrnoException
  const fix =
    code === 'EACCES'
      ? 'run as root, or in the group that charon.group names'
      : 'is charon running, with its vici plugin?'
  return new ViciError(`charon can't be reached at ${path} (${code ?? message}); ${fix}`, { cause })
}
