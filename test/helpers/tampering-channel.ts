import type { AbortOptions } from '../../lib/interface/lifecycle.ts'
import type { MessageChannel } from '../../lib/interface/message-channel.ts'

/** What becomes of the `at`-th message that an end sends: the messages that go out in its place. */
export type Tamper = (message: Buffer, at: number) => readonly Buffer[]

/** A channel on which somebody sits: what this end sends passes through `tamper`. What the other sends does not. */
export class TamperingChannel implements MessageChannel {
  readonly peerId: string
  /** Messages sent so far, as they were handed in. */
  readonly sent: Buffer[] = []
  readonly #inner: MessageChannel
  readonly #tamper: Tamper

  constructor(inner: MessageChannel, tamper: Tamper = message => [message]) {
    this.#inner = inner
    this.#tamper = tamper
    this.peerId = inner.peerId
  }

  async send(message: Uint8Array, options?: AbortOptions): Promise<void> {
    const at = this.sent.push(Buffer.from(message)) - 1
    for (const out of this.#tamper(Buffer.from(message), at)) await this.#inner.send(out, options)
  }

  receive(options?: AbortOptions): Promise<Uint8Array | undefined> {
    return this.#inner.receive(options)
  }

  close(options?: AbortOptions): Promise<void> {
    return this.#inner.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
