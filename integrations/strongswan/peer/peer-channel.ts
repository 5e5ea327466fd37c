import { type AbortOptions, AsyncQueue, ClosedError, type MessageChannel, ProtocolError } from '../../../lib/index.ts'
import { decodePeerMessage, encodePeerMessage, isPeerMessage, type PeerMessage } from './peer-message.ts'

/** Messages that may wait to be taken; two agents never have more than a few under way. */
const MAX_QUEUED = 64

/**
 * One channel for one connection: the agents' own messages, and beside them those of the agreement on a key, so that what
 * is left over of the one never disturbs the other. Messages are numbered: a second copy is passed over, a gap closes it.
 */
export class PeerChannel {
  readonly peerId: string
  /** The part of the channel on which keys are agreed. */
  readonly agreement: MessageChannel
  readonly #channel: MessageChannel
  readonly #messages = new AsyncQueue<PeerMessage>()
  readonly #agreement = new AsyncQueue<Uint8Array>()
  readonly #over: Promise<void>
  readonly #onWanted: (reason: string) => void
  #sent = 0
  #heard = 0
  #closed = false

  /** `onWanted` is called when the other end asks for a rotation, which it may at any time. */
  constructor(channel: MessageChannel, onWanted: (reason: string) => void = () => {}) {
    this.peerId = channel.peerId
    this.#onWanted = onWanted
    this.#channel = channel
    const close = () => this.close()
    this.agreement = {
      peerId: channel.peerId,
      send: (message, options) => channel.send(message, options),
      receive: options => this.#agreement.take(options),
      close,
      [Symbol.asyncDispose]: close,
    }
    this.#over = this.#read()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Resolves when the channel is over, from either end. */
  get over(): Promise<void> {
    return this.#over
  }

  /** @throws {ClosedError} the channel is over */
  async send(message: PeerMessage, options?: AbortOptions): Promise<void> {
    if (this.#closed) throw new ClosedError(`The channel to ${this.peerId} is closed`)
    await this.#channel.send(encodePeerMessage(message, this.#sent++), options)
  }

  /**
   * The next message.
   * @throws {ClosedError} the channel is over
   */
  async receive(options?: AbortOptions): Promise<PeerMessage> {
    const message = await this.#messages.take(options)
    if (message === undefined) throw new ClosedError(`The channel to ${this.peerId} is closed`)
    return message
  }

  /** Throws away what is left over of an agreement that failed. */
  clearAgreement(): void {
    for (const message of this.#agreement.drain()) message.fill(0)
  }

  async close(): Promise<void> {
    this.#closed = true
    // That it can't be closed in order makes it no less closed.
    await this.#channel.close().catch(() => {})
    await this.#over
  }

  async #read(): Promise<void> {
    try {
      for (let bytes = await this.#channel.receive(); bytes !== undefined; bytes = await this.#channel.receive()) {
        this.#take(bytes)
      }
    } catch {
      // Lost, or not to be trusted any more: the same to whoever waits.
    }
    this.#closed = true
    this.#messages.end()
    this.#agreement.end()
    await this.#channel.close().catch(() => {})
  }

  #take(bytes: Uint8Array): void {
    const queue = isPeerMessage(bytes) ? this.#messages : this.#agreement
    if (queue.size >= MAX_QUEUED) throw new ProtocolError(`${this.peerId} sends more than anybody takes`)
    if (queue === this.#agreement) {
      this.#agreement.push(bytes)
      return
    }
    const { number, message } = decodePeerMessage(bytes)
    if (number > this.#heard) throw new ProtocolError(`A message of ${this.peerId} is missing`)
    if (number < this.#heard) return
    this.#heard += 1
    if (message.type === 'wanted') this.#onWanted(message.reason)
    else this.#messages.push(message)
  }
}
