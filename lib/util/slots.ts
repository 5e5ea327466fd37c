import type { AbortOptions } from '../interface/lifecycle.ts'
import { AsyncQueue } from './async-queue.ts'

/** A bounded number of things at a time: who comes later waits for a free slot, in order. */
export class Slots {
  readonly #handedOn = new AsyncQueue<true>()
  #free: number

  constructor(count: number) {
    this.#free = count
  }

  /** Takes a slot if one is free. */
  tryAcquire(): boolean {
    if (this.#free === 0) return false
    this.#free -= 1
    return true
  }

  /** Resolves with a slot, to be given back by `release()`. */
  async acquire({ signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    if (!this.tryAcquire()) await this.#handedOn.take({ signal })
  }

  release(): void {
    if (this.#handedOn.waiting > 0) this.#handedOn.push(true)
    else this.#free += 1
  }
}
