import type { AbortOptions } from '../interface/lifecycle.ts'

interface Taker<T> {
  resolve(item: T | undefined): void
  reject(reason: unknown): void
}

/** A first-in first-out queue whose takers wait. Its owner bounds it by `size`; nothing here drops an item. */
export class AsyncQueue<T> {
  readonly #items: T[] = []
  readonly #takers = new Set<Taker<T>>()
  #failure: { reason: unknown } | undefined
  #ended = false

  /** Items that wait to be taken. */
  get size(): number {
    return this.#items.length
  }

  /** Takers that wait for an item. */
  get waiting(): number {
    return this.#takers.size
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Adds an item, or returns false if the queue has ended. */
  push(item: T): boolean {
    if (this.#ended) return false
    const [taker] = this.#takers
    if (taker === undefined) this.#items.push(item)
    else {
      this.#takers.delete(taker)
      taker.resolve(item)
    }
    return true
  }

  /** The next item, in order of the calls; undefined once the queue has ended and is empty. */
  take({ signal }: AbortOptions = {}): Promise<T | undefined> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift())
    if (this.#failure !== undefined) return Promise.reject(this.#failure.reason)
    if (this.#ended) return Promise.resolve(undefined)
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#takers.delete(taker)
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = () => {
        settle()
        reject(signal?.reason)
      }
      const taker: Taker<T> = {
        resolve: item => {
          settle()
          resolve(item)
        },
        reject: reason => {
          settle()
          reject(reason)
        },
      }
      this.#takers.add(taker)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Ends the queue; what is in it can still be taken. With a reason, takers that find it empty are rejected with it. */
  end(reason?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    if (reason !== undefined) this.#failure = { reason }
    for (const taker of [...this.#takers]) {
      if (reason === undefined) taker.resolve(undefined)
      else taker.reject(reason)
    }
  }

  /** Everything that waits, taken at once. */
  drain(): T[] {
    return this.#items.splice(0)
  }
}
