import type { MessageChannel } from '../interface/message-channel.ts'

/** What a line runs over, and whom it asks. */
export interface FrameLineOptions {
  /** An open channel; the line owns it from now on. */
  readonly channel: MessageChannel
  /** Called for each frame, in order; what it throws ends the line. The frame is wiped when it returns. */
  onFrame(frame: Uint8Array): void
  /** The next frame to send, in a buffer of its own, which the line wipes; undefined where there is nothing to say. */
  nextFrame(): Uint8Array | undefined
}

/** Either end of the talk on one channel: one frame for all that came up in a turn of the event loop. */
export class FrameLine {
  readonly #options: FrameLineOptions
  readonly #ending = new AbortController()
  #reason: unknown
  #rung = false
  #writing: Promise<void> = Promise.resolve()
  /** Resolves when all is over, with what ended it; undefined where the other end closed in good order. */
  readonly ended: Promise<unknown>

  constructor(options: FrameLineOptions) {
    this.#options = options
    this.ended = this.#run()
  }

  /** There is something to say: it goes out when this turn of the event loop is over, with what else comes up in it. */
  ring(): void {
    if (this.#rung || this.#ending.signal.aborted) return
    this.#rung = true
    setImmediate(() => {
      this.#writing = this.#write().catch(error => this.end(error))
    })
  }

  /** Ends the talk and closes the channel. Idempotent: the first reason stands. */
  end(reason?: unknown): void {
    if (this.#ending.signal.aborted) return
    this.#reason = reason
    this.#ending.abort()
  }

  async #run(): Promise<unknown> {
    await this.#read().then(
      () => this.end(),
      error => this.end(error),
    )
    await this.#options.channel.close().catch(() => {})
    await this.#writing
    return this.#reason
  }

  async #read(): Promise<void> {
    const { signal } = this.#ending
    const { channel, onFrame } = this.#options
    for (;;) {
      const frame = await channel.receive({ signal })
      if (frame === undefined) return
      try {
        if (!signal.aborted) onFrame(frame)
      } finally {
        frame.fill(0)
      }
    }
  }

  async #write(): Promise<void> {
    const { channel, nextFrame } = this.#options
    for (;;) {
      const frame = this.#ending.signal.aborted ? undefined : nextFrame()
      if (frame === undefined) break
      try {
        await channel.send(frame)
      } finally {
        frame.fill(0)
      }
    }
    this.#rung = false
  }
}
