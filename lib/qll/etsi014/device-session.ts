import type { StreamChannel } from '../../channel/stream-channel.ts'
import { ClosedError, ProtocolError } from '../../errors.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { eitherSignal } from '../../util/deadline.ts'
import { closeAtOnce } from '../bb84/link/door.ts'
import { type DeviceMessage, decodeMessage, encodeMessage } from './device-message.ts'

/** One connection between the two ends: messages, a signal that holds as long as it, and why it ended. */
export class DeviceSession {
  /** Aborts when the connection is lost, or this end gives it up. */
  readonly signal: AbortSignal
  readonly #channel: StreamChannel
  readonly #end = new AbortController()

  /** @param signal aborts when the link is closed */
  constructor(channel: StreamChannel, signal: AbortSignal) {
    this.#channel = channel
    this.signal = eitherSignal(signal, this.#end.signal)
    void channel.lost.then(reason => this.#end.abort(reason))
  }

  send(message: DeviceMessage): Promise<void> {
    return this.#channel.send(encodeMessage(message), { signal: this.signal })
  }

  /** @throws {ClosedError} the other end has ended the connection */
  async receive({ signal = this.signal }: AbortOptions = {}): Promise<DeviceMessage> {
    const bytes = await this.#channel.receive({ signal })
    if (bytes === undefined) throw new ClosedError('The other end has closed the connection')
    return decodeMessage(bytes)
  }

  /** The next message, if it is of that type. */
  async expect<T extends DeviceMessage['type']>(
    type: T,
    options: AbortOptions,
  ): Promise<Extract<DeviceMessage, { type: T }>> {
    const message = await this.receive(options)
    if (message.type === type) return message as Extract<DeviceMessage, { type: T }>
    throw new ProtocolError(`The other end sent "${message.type}" where "${type}" is expected`)
  }

  /**
   * Runs parts of the session side by side until one of them fails, as each does at the end of the connection; rejects with
   * that reason when all have ended.
   */
  async run(...parts: (() => Promise<void>)[]): Promise<never> {
    let reason: unknown
    const failed = (error: unknown) => {
      reason ??= error
      this.end(error as Error)
    }
    await Promise.all(parts.map(part => part().then(() => failed(new ClosedError('The session is over')), failed)))
    throw reason
  }

  /** Gives the connection up. */
  end(reason: Error): void {
    this.#end.abort(reason)
  }

  async close(): Promise<void> {
    this.end(new ClosedError('The connection is closed'))
    await closeAtOnce(this.#channel)
  }
}

/** Why the ends of a link can't work together; undefined if they can. */
export function sizeMismatch(own: number, theirs: number): ProtocolError | undefined {
  if (own === theirs) return undefined
  return new ProtocolError(`The other end has blocks of ${theirs} bytes, this one of ${own}`)
}
