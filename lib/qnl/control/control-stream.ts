import { ProtocolError } from '../../errors.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { AsyncQueue } from '../../util/async-queue.ts'

/** Messages that may wait until the other end takes them. */
const MAX_QUEUED = 1024

/** Either end of a conversation with a controller: sends in order, receives until something ends it. Owns the channel. */
export class ControlStream {
  readonly #channel: MessageChannel
  readonly #onMessage: (bytes: Uint8Array) => void
  readonly #outgoing = new AsyncQueue<Uint8Array>()
  readonly #ending = new AbortController()
  #reason: unknown
  /** Resolves when all is over, with what ended it; undefined where an end closed in good order. */
  readonly ended: Promise<unknown>

  /** `onMessage` is called for each message, in order; what it throws ends the conversation. */
  constructor(channel: MessageChannel, onMessage: (bytes: Uint8Array) => void) {
    this.#channel = channel
    this.#onMessage = onMessage
    this.ended = this.#run()
  }

  send(bytes: Uint8Array): void {
    if (this.#outgoing.size >= MAX_QUEUED) this.end(new ProtocolError(`The peer leaves ${MAX_QUEUED} messages unread`))
    this.#outgoing.push(bytes)
  }

  /** Ends the conversation. Idempotent: the first reason stands. */
  end(reason?: unknown): void {
    if (this.#ending.signal.aborted) return
    this.#reason = reason
    this.#outgoing.drain()
    this.#outgoing.end()
    this.#ending.abort()
  }

  async #run(): Promise<unknown> {
    const writing = this.#write().catch((error: unknown) => this.end(error))
    await this.#read().then(
      () => this.end(),
      (error: unknown) => this.end(error),
    )
    await this.#channel.close().catch(() => {})
    await writing
    return this.#reason
  }

  async #read(): Promise<void> {
    const { signal } = this.#ending
    for (;;) {
      const bytes = await this.#channel.receive({ signal })
      if (bytes === undefined) return
      this.#onMessage(bytes)
    }
  }

  async #write(): Promise<void> {
    const { signal } = this.#ending
    for (;;) {
      const bytes = await this.#outgoing.take()
      if (bytes === undefined) return
      await this.#channel.send(bytes, { signal })
    }
  }
}
