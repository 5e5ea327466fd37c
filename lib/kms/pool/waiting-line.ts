import type { AbortOptions } from '../../interface/lifecycle.ts'

/** What a request needs: cells in all, in keys of `contiguous` cells each. */
export interface Need {
  readonly cells: number
  readonly contiguous: number
}

interface Waiter {
  readonly need: Need
  attempt(): boolean
  fail(reason: unknown): void
}

/** Requests that wait for key, first come first served. A wait that is given up leaves nothing behind. */
export class WaitingLine {
  readonly #waiters = new Set<Waiter>()

  get length(): number {
    return this.#waiters.size
  }

  /** What all that wait need together, in pieces that serve the first; undefined where nobody waits. */
  get need(): Need | undefined {
    const [first] = this.#waiters
    if (first === undefined) return undefined
    let cells = 0
    for (const { need } of this.#waiters) cells += need.cells
    return { cells, contiguous: first.need.contiguous }
  }

  /**
   * What `attempt` gives as soon as it gives something, tried in turn; undefined once `waitMs` is over.
   * @throws the signal's reason, or what the line was failed with
   */
  wait<T>(
    attempt: () => T | undefined,
    { need, waitMs, signal }: AbortOptions & { need: Need; waitMs: number },
  ): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter)
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        need,
        attempt: () => {
          try {
            const result = attempt()
            if (result === undefined) return false
            leave()
            resolve(result)
          } catch (error) {
            // The failure is this request's, not that of whoever brought the key.
            waiter.fail(error)
          }
          return true
        },
        fail: reason => {
          leave()
          reject(reason)
        },
      }
      const onAbort = () => waiter.fail(signal?.reason)
      const timer = setTimeout(() => {
        leave()
        resolve(undefined)
      }, waitMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiters.add(waiter)
    })
  }

  /** Lets the waiters try, from the first on, until one can't be served: nobody is overtaken. */
  serve(): void {
    for (const waiter of [...this.#waiters]) if (!waiter.attempt()) return
  }

  /** Ends every wait. */
  fail(reason: unknown): void {
    for (const waiter of [...this.#waiters]) waiter.fail(reason)
  }
}
