import { ClosedError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import { AsyncQueue } from '../util/async-queue.ts'

/** What waits to be received: beyond this the sender has to wait. */
const FULL_BYTES = 1024 * 1024
/** Counted for each message, so that a flood of tiny ones is bounded too. */
const OVERHEAD_BYTES = 256

/** Messages that have arrived and wait for `receive()`. Bounded by whoever pushes: it stops while the inbox is full. */
export class Inbox {
  readonly #queue = new AsyncQueue<Uint8Array>()
  readonly #onRoom: () => void
  #queuedBytes = 0
  #closed = false

  /** `onRoom` is called when an inbox that was full no longer is. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom
  }

  get full(): boolean {
    return this.#queuedBytes >= FULL_BYTES
  }

  /** Takes over a message; after the end it is wiped and dropped. */
  push(message: Uint8Array): void {
    if (this.#queue.push(message)) this.#queuedBytes += message.byteLength + OVERHEAD_BYTES
    else message.fill(0)
  }

  async take({ signal }: AbortOptions = {}): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    if (this.#closed) throw new ClosedError('The channel is closed')
    const message = await this.#queue.take({ signal })
    if (message === undefined) return undefined
    const wasFull = this.full
    this.#queuedBytes -= message.byteLength + OVERHEAD_BYTES
    if (wasFull && !this.full) this.#onRoom()
    return message
  }

  /** Nothing more comes: what waits can be taken, then the end is told, as undefined or as that reason. */
  end(reason?: Error): void {
    this.#queue.end(reason)
  }

  /** This end is closed: what waits is wiped, and every `take()` rejects. */
  close(): void {
    this.#closed = true
    this.#queue.end(new ClosedError('The channel is closed'))
    for (const message of this.#queue.drain()) message.fill(0)
    this.#queuedBytes = 0
  }
}
