import { ClosedError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import { AsyncQueue } from './async-queue.ts'

/** A bounded number of things at a time: who comes later waits for a free slot, in order. */
export class Slots {
  readonly #free = new AsyncQueue<true>()

  constructor(count: number) {
    for (let n = 0; n < count; n += 1) this.#free.push(true)
  }

  /** Resolves with a slot, to be given back by `release()`. */
  async acquire({ signal }: AbortOptions = {}): Promise<void> {
    if ((await this.#free.take({ signal })) === undefined) throw new ClosedError()
  }

  release(): void {
    this.#free.push(true)
  }
}
