import type { AbortOptions, Unsubscribe } from '../../interface/lifecycle.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { Listeners } from '../../util/listeners.ts'

/** What is heard of a neighbour. */
export interface NeighbourNews {
  readonly siteId: string
  readonly state: 'heard' | 'silent'
  readonly reason?: string
}

/**
 * Tells when a neighbour falls silent and when it is heard again. Channels between nodes have a heartbeat of their own and
 * are lost after four of them without any; whoever opens one, or takes one over, passes it through `watch`.
 */
export class NeighbourWatch {
  /** Open channels by neighbour; one that was never heard of has no entry. */
  readonly #channels = new Map<string, Set<MessageChannel>>()
  readonly #listeners = new Listeners<NeighbourNews>()

  /** The channel to use in place of `channel`. */
  watch(siteId: string, channel: MessageChannel): MessageChannel {
    const open = this.#channels.get(siteId) ?? new Set()
    this.#channels.set(siteId, open)
    open.add(channel)
    if (open.size === 1) this.#listeners.emit({ siteId, state: 'heard' })
    return new WatchedChannel(channel, reason => {
      if (!open.delete(channel) || open.size > 0) return
      this.#listeners.emit({ siteId, state: 'silent', reason })
    })
  }

  /** True for a neighbour that was heard before and is not now. */
  isSilent(siteId: string): boolean {
    return this.#channels.get(siteId)?.size === 0
  }

  onNews(listener: (news: NeighbourNews) => void): Unsubscribe {
    return this.#listeners.add(listener)
  }
}

class WatchedChannel implements MessageChannel {
  readonly #channel: MessageChannel
  readonly #onLost: (reason: string) => void

  constructor(channel: MessageChannel, onLost: (reason: string) => void) {
    this.#channel = channel
    this.#onLost = onLost
  }

  get peerId(): string {
    return this.#channel.peerId
  }

  async send(message: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#noting(this.#channel.send(message, options), options)
  }

  async receive(options?: AbortOptions): Promise<Uint8Array | undefined> {
    const message = await this.#noting(this.#channel.receive(options), options)
    if (message === undefined) this.#onLost(`${this.peerId} has closed the channel`)
    return message
  }

  async close(options?: AbortOptions): Promise<void> {
    this.#onLost('This end has closed the channel')
    await this.#channel.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #noting<T>(work: Promise<T>, options: AbortOptions | undefined): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (!options?.signal?.aborted) this.#onLost((error as Error).message)
      throw error
    }
  }
}
