import { setTimeout as sleep } from 'node:timers/promises'
import { ProtocolError } from '../../errors.ts'
import type { Logger } from '../../interface/logger.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import type { BackOff } from '../../util/back-off.ts'
import { decodeHello } from './frame.ts'
import { FrameLine } from './frame-line.ts'

/** Opens a channel to the owner of this site's pools; the one who gets it closes it. */
export type DialOwner = (options: { signal: AbortSignal }) => Promise<MessageChannel>

/** How a line connects, and whom it tells. */
export interface OwnerLineOptions {
  /** The site whose owner must answer. */
  readonly siteId: string
  readonly dial: DialOwner
  /** Pauses before the next connection; undefined ends the line with the first one. */
  readonly backOff: BackOff | undefined
  readonly logger: Logger
  /** The owner has answered: frames can be sent. */
  onUp(): void
  /** Called for each frame after the hello; what it throws ends the connection. */
  onFrame(frame: Uint8Array): void
  nextFrame(): Uint8Array | undefined
  /** A connection that was up is lost. */
  onDown(reason: string): void
  /** No connection comes any more. */
  onEnd(cause: unknown): void
}

/** How long the owner may take to say who it is, in milliseconds. */
const HELLO_MS = 5_000

/** A process's connection to the owner, opened again when it is lost. */
export class OwnerLine {
  readonly #options: OwnerLineOptions
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #line: FrameLine | undefined
  #up = false

  constructor(options: OwnerLineOptions) {
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
    const { siteId, backOff, logger, onEnd } = this.#options
    const { signal } = this.#closing
    for (;;) {
      const cause = await this.#connectOnce().catch((error: unknown) => error)
      if (signal.aborted || backOff === undefined) {
        onEnd(cause)
        return
      }
      const pauseMs = backOff.nextMs()
      logger.info({ siteId, pauseMs, reason: reasonOf(cause) }, 'No connection to the owner')
      // Not unref()ed: like a socket under way, a line that is not closed keeps its process alive.
      await sleep(pauseMs, undefined, { signal }).catch(() => {})
    }
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
    if (wasUp) this.#options.onDown(reasonOf(cause))
    return cause
  }

  #begin(frame: Uint8Array): void {
    const siteId = decodeHello(frame)
    if (siteId !== this.#options.siteId) {
      throw new ProtocolError(`The owner is that of site "${siteId}", where "${this.#options.siteId}" is expected`)
    }
    this.#up = true
    this.#options.backOff?.reset()
    this.#options.onUp()
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : 'The owner has closed the connection'
}
