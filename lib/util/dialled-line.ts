import { ProtocolError } from '../errors.ts'
import type { Logger } from '../interface/logger.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import type { BackOff } from './back-off.ts'
import { FrameLine } from './frame-line.ts'
import { redial } from './redial.ts'

/** Opens a channel to the one that serves; the one who gets it closes it. */
export type DialChannel = (options: { signal: AbortSignal }) => Promise<MessageChannel>

/** How a line connects, and whom it tells. */
export interface DialledLineOptions {
  /** Who is at the other end, in a few words that follow "to". */
  readonly to: string
  readonly dial: DialChannel
  /** Pauses before the next connection; undefined ends the line with the first one. */
  readonly backOff: BackOff | undefined
  readonly logger: Logger
  /** Looks at the first frame, and throws unless it is a fit hello: from then on frames can be sent. */
  onHello(frame: Uint8Array): void
  /** Called for each frame after that; what it throws ends the connection. */
  onFrame(frame: Uint8Array): void
  nextFrame(): Uint8Array | undefined
  /** A connection that was up is lost. */
  onDown(reason: string): void
  /** No connection comes any more. */
  onEnd(cause: unknown): void
}

/** How long the other end may take to say who it is, in milliseconds. */
const HELLO_MS = 5_000

/** A connection to one that serves, opened again when it is lost. */
export class DialledLine {
  readonly #options: DialledLineOptions
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #line: FrameLine | undefined
  #up = false

  constructor(options: DialledLineOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  get up(): boolean {
    return this.#up
  }

  ring(): void {
    if (this.#up) this.#line?.ring()
  }

  /** Drops the present connection, for another one. */
  drop(reason: Error): void {
    this.#line?.end(reason)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#line?.end()
    await this.#running
  }

  async #run(): Promise<void> {
    const { to, backOff, logger, onEnd } = this.#options
    const { signal } = this.#closing
    const onPause = (pauseMs: number, cause: unknown) =>
      logger.info({ to, pauseMs, reason: this.#reasonOf(cause) }, 'No connection')
    onEnd(await redial({ connectOnce: () => this.#connectOnce(), backOff, signal, onPause }))
  }

  /** Holds one connection until it ends, and gives what ended it. */
  async #connectOnce(): Promise<unknown> {
    const { signal } = this.#closing
    signal.throwIfAborted()
    const channel = await this.#options.dial({ signal })
    const line = new FrameLine({
      channel,
      onFrame: frame => (this.#up ? this.#options.onFrame(frame) : this.#begin(frame)),
      nextFrame: () => this.#options.nextFrame(),
    })
    this.#line = line
    const giveUp = () => line.end(new ProtocolError(`No hello within ${HELLO_MS} ms`))
    const timer = setTimeout(() => this.#up || giveUp(), HELLO_MS).unref()
    if (signal.aborted) line.end()
    const cause = await line.ended
    clearTimeout(timer)
    const wasUp = this.#up
    this.#up = false
    this.#line = undefined
    if (wasUp) this.#options.onDown(this.#reasonOf(cause))
    return cause
  }

  #begin(frame: Uint8Array): void {
    this.#options.onHello(frame)
    this.#up = true
    this.#options.backOff?.reset()
    this.#line?.ring()
  }

  #reasonOf(cause: unknown): string {
    return cause instanceof Error ? cause.message : `${this.#options.to} has closed the connection`
  }
}
