import { ProtocolError } from '../errors.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import { AsyncQueue } from '../util/async-queue.ts'
import { decodeQnlMessage, encodeQnlMessage, type QnlMessage } from './qnl-wire.ts'

/** What a messenger runs over, and whom it tells. */
export interface QnlMessengerOptions {
  /** An open channel; the messenger owns it from now on. */
  channel: MessageChannel
  /** Called for each message, in order; what it throws ends the connection. Owns a block's secret. */
  onMessage(message: QnlMessage): void
}

/** Messages that may wait until the other end takes them: the answers of every call, and events. */
const MAX_QUEUED = 2048

/** Either end of the conversation on one channel: sends in order, receives until something ends it. */
export class QnlMessenger {
  readonly #channel: MessageChannel
  readonly #onMessage: (message: QnlMessage) => void
  readonly #outgoing = new AsyncQueue<QnlMessage>()
  readonly #ending = new AbortController()
  #reason: unknown
  /** Resolves when all is over, with what ended it; undefined where the other end closed in good order. */
  readonly ended: Promise<unknown>

  constructor({ channel, onMessage }: QnlMessengerOptions) {
    this.#channel = channel
    this.#onMessage = onMessage
    this.ended = this.#run()
  }

  /** Puts a message in line. After the end it is dropped, its secret wiped. */
  send(message: QnlMessage): void {
    if (this.#outgoing.size >= MAX_QUEUED) this.end(new ProtocolError(`The peer leaves ${MAX_QUEUED} messages unread`))
    if (!this.#outgoing.push(message)) wipe(message)
  }

  /** Ends the conversation and closes the channel. Idempotent: the first reason stands. */
  end(reason?: unknown): void {
    if (this.#ending.signal.aborted) return
    this.#reason = reason
    for (const message of this.#outgoing.drain()) wipe(message)
    this.#outgoing.end()
    this.#ending.abort()
  }

  async #run(): Promise<unknown> {
    const writing = this.#write().catch(error => this.end(error))
    await this.#read().then(
      () => this.end(),
      error => this.end(error),
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
      this.#take(bytes)
    }
  }

  #take(bytes: Uint8Array): void {
    let message: QnlMessage
    try {
      message = decodeQnlMessage(bytes)
    } finally {
      bytes.fill(0)
    }
    if (this.#ending.signal.aborted) wipe(message)
    else this.#onMessage(message)
  }

  async #write(): Promise<void> {
    for (;;) {
      const message = await this.#outgoing.take()
      if (message === undefined) return
      const bytes = encodeQnlMessage(message)
      try {
        await this.#channel.send(bytes)
      } finally {
        bytes.fill(0)
        wipe(message)
      }
    }
  }
}

function wipe(message: QnlMessage): void {
  if (message.type === 'block') message.secret.wipe()
}
