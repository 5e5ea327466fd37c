import type { Logger } from '../interface/logger.ts'
import type { MessageChannel } from '../interface/message-channel.ts'
import { BackOff } from './back-off.ts'
import { delay } from './deadline.ts'

/** Whom to dial, and what to do with the channel. */
export interface PeerDialerOptions {
  readonly remoteSiteId: string
  readonly dial: (signal: AbortSignal) => Promise<MessageChannel>
  /** Uses the channel; resolves when it has ended. */
  readonly attach: (channel: MessageChannel) => Promise<void>
  readonly logger: Logger
}

/** Keeps one channel to a peer: dials, and dials again with growing pauses whenever it is lost. */
export class PeerDialer {
  readonly #abort = new AbortController()
  readonly #running: Promise<void>

  constructor(options: PeerDialerOptions) {
    this.#running = this.#run(options, this.#abort.signal)
  }

  /** Dials no more; the channel that is there stays its user's to close. */
  stop(): void {
    this.#abort.abort()
  }

  /** Resolves when the last channel has ended after `stop()`. */
  get stopped(): Promise<void> {
    return this.#running
  }

  async #run({ remoteSiteId, dial, attach, logger }: PeerDialerOptions, signal: AbortSignal): Promise<void> {
    const backOff = new BackOff({ minMs: 50, maxMs: 1000 })
    while (!signal.aborted) {
      try {
        const channel = await dial(signal)
        const sinceMs = performance.now()
        await attach(channel)
        // A session that ends at once would be dialled for in a tight loop.
        if (performance.now() - sinceMs > 1000) backOff.reset()
      } catch (error) {
        if (!signal.aborted) logger.info({ remoteSiteId, reason: (error as Error).message }, 'The peer did not answer')
      }
      await delay(backOff.nextMs(), { signal }).catch(() => {})
    }
  }
}
