import { ProtocolError } from '../errors.ts'
import type { Logger } from '../interface/logger.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import type { BackOff } from '../util/back-off.ts'
import { redial } from '../util/redial.ts'
import { QNL_WIRE_VERSION, type QnlHeads } from './qnl-message.ts'
import { QnlMessenger } from './qnl-messenger.ts'
import type { QnlMessage } from './qnl-wire.ts'

/** Opens a channel to the QNL node of this site; the one who gets it closes it. */
export type DialQnl = (options: { signal: AbortSignal }) => Promise<MessageChannel>

/** How a line connects, and whom it tells. */
export interface QnlLineOptions {
  /** The site whose QNL must answer. */
  siteId: string
  dial: DialQnl
  /** Pauses before the next connection; undefined ends the line with the first one. */
  backOff: BackOff | undefined
  logger: Logger
  /** The QNL has answered: messages can be sent. */
  onUp(): void
  /** Called for each message after the first; what it throws ends the connection. */
  onMessage(message: QnlMessage): void
  /** A connection that was up is lost. */
  onDown(reason: string): void
  /** No connection comes any more. */
  onEnd(cause: unknown): void
}

/** How long the QNL may take to say who it is, in milliseconds. */
const HELLO_MS = 5000

/** The client's connection to a QNL, opened again when it is lost. */
export class QnlLine {
  readonly #options: QnlLineOptions
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #messenger: QnlMessenger | undefined
  #up = false
  #helloTimer: NodeJS.Timeout | undefined

  constructor(options: QnlLineOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  get up(): boolean {
    return this.#up
  }

  /** Sends a message, if the connection is up. */
  send(message: QnlMessage): void {
    if (this.#up) this.#messenger?.send(message)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#messenger?.end()
    await this.#running
  }

  async #run(): Promise<void> {
    const { siteId, backOff, logger, onEnd } = this.#options
    const { signal } = this.#closing
    const onPause = (pauseMs: number, cause: unknown) =>
      logger.warn({ siteId, pauseMs, reason: reasonOf(cause) }, 'No connection to the QNL')
    onEnd(await redial({ connectOnce: () => this.#connectOnce(), backOff, signal, onPause }))
  }

  /** Holds one connection until it ends, and gives what ended it. */
  async #connectOnce(): Promise<unknown> {
    const { signal } = this.#closing
    signal.throwIfAborted()
    const channel = await this.#options.dial({ signal })
    const messenger = new QnlMessenger({ channel, onMessage: message => this.#take(message) })
    this.#messenger = messenger
    const giveUp = () => messenger.end(new ProtocolError(`No hello within ${HELLO_MS} ms`))
    this.#helloTimer = setTimeout(giveUp, HELLO_MS).unref()
    if (signal.aborted) messenger.end()
    const cause = await messenger.ended
    clearTimeout(this.#helloTimer)
    const wasUp = this.#up
    this.#up = false
    this.#messenger = undefined
    if (wasUp) this.#options.onDown(reasonOf(cause))
    return cause
  }

  #take(message: QnlMessage): void {
    if (this.#up) this.#options.onMessage(message)
    else if (message.type === 'hello') this.#begin(message.head)
    else {
      if (message.type === 'block') message.secret.wipe()
      throw new ProtocolError(`A message of type ${message.type} comes before the hello`)
    }
  }

  #begin({ version, siteId }: QnlHeads['hello']): void {
    if (version !== QNL_WIRE_VERSION) {
      throw new ProtocolError(`The QNL speaks version ${version} of its messages, this end ${QNL_WIRE_VERSION}`)
    }
    if (siteId !== this.#options.siteId) {
      throw new ProtocolError(`The QNL is that of site "${siteId}", where "${this.#options.siteId}" is expected`)
    }
    clearTimeout(this.#helloTimer)
    this.#up = true
    this.#options.backOff?.reset()
    this.#options.onUp()
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : 'The QNL has closed the connection'
}
