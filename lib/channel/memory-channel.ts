import { ClosedError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import { withDeadline } from '../util/deadline.ts'
import { Inbox } from './inbox.ts'
import { Outbox } from './outbox.ts'

/** How long `close()` waits for messages that the other end does not take, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000

/**
 * Two ends of a channel in this process. `ids` are the identities of the first and the second end, so the first end's
 * `peerId` is the second ID.
 */
export function createMemoryChannelPair(ids: readonly [string, string]): [MessageChannel, MessageChannel] {
  return MemoryChannel.pair(ids)
}

class MemoryChannel implements MessageChannel {
  readonly peerId: string
  readonly #inbox = new Inbox(() => this.#peer.#outbox.wake())
  readonly #outbox = new Outbox({
    write: message => this.#peer.#inbox.push(new Uint8Array(message)),
    hasRoom: () => !this.#peer.#inbox.full,
  })
  // Set by pair(), the one place where ends are made.
  #peer!: MemoryChannel
  #closing: Promise<void> | undefined

  private constructor(peerId: string) {
    this.peerId = peerId
  }

  static pair([first, second]: readonly [string, string]): [MemoryChannel, MemoryChannel] {
    const a = new MemoryChannel(second)
    const b = new MemoryChannel(first)
    a.#peer = b
    b.#peer = a
    return [a, b]
  }

  send(message: Uint8Array, options?: AbortOptions): Promise<void> {
    return this.#outbox.send(message, options)
  }

  receive(options?: AbortOptions): Promise<Uint8Array | undefined> {
    return this.#inbox.take(options)
  }

  close(options: AbortOptions = {}): Promise<void> {
    this.#closing ??= this.#end(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end({ signal }: AbortOptions): Promise<void> {
    this.#inbox.close()
    await this.#outbox.close({ signal: withDeadline(signal, CLOSE_TIMEOUT_MS) }).catch(() => {})
    this.#outbox.fail(new ClosedError('The channel is closed'))
    this.#peer.#inbox.end()
    this.#peer.#outbox.fail(new ClosedError(`${this.#peer.peerId} has closed the channel`))
  }
}
