import type { Closable } from '../interface/lifecycle.ts'

/** Ends what was opened, in reverse order, and keeps going when one fails. */
export class Opened {
  readonly #what: string
  readonly #closables: Closable[] = []

  /** @param what what the parts make up, for the error of an unclean end */
  constructor(what: string) {
    this.#what = what
  }

  add<T extends Closable>(closable: T): T {
    this.#closables.push(closable)
    return closable
  }

  async close(): Promise<void> {
    const failures: unknown[] = []
    for (const closable of this.#closables.splice(0).reverse())
      await closable.close().catch(error => failures.push(error))
    if (failures.length > 0) throw new AggregateError(failures, `Parts of the ${this.#what} did not close cleanly`)
  }
}
