/** How often, and who hears of a failure: the next sweep comes all the same. */
export interface SweepsOptions {
  readonly everyMs: number
  readonly onError: (error: unknown) => void
}

/** What goes by the clock, one sweep after the other: while one takes long, at most one more waits. Keeps no process alive. */
export class Sweeps {
  readonly #sweep: () => Promise<void>
  readonly #onError: SweepsOptions['onError']
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> = Promise.resolve()
  #isQueued = false

  constructor(sweep: () => Promise<void>, { everyMs, onError }: SweepsOptions) {
    this.#sweep = sweep
    this.#onError = onError
    this.#timer = setInterval(() => this.#queue(), everyMs).unref()
  }

  /** Begins no further one by the clock. */
  stop(): void {
    clearInterval(this.#timer)
  }

  /** Resolves when all that were begun have ended. */
  over(): Promise<void> {
    return this.#running
  }

  #queue(): void {
    if (this.#isQueued) return
    this.#isQueued = true
    this.#running = this.#running
      .then(() => {
        this.#isQueued = false
        return this.#sweep()
      })
      .catch(this.#onError)
  }
}
