/** Work of which only one piece at a time may run for each key; pieces for others don't wait for it. */
export class Turns<K> {
  readonly #last = new Map<K, Promise<void>>()

  /** Runs after all that was asked for that key before, however that ended. */
  take<T>(key: K, run: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(run, run)
    const settled = turn.then(
      () => {},
      () => {},
    )
    this.#last.set(key, settled)
    void settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    })
    return turn
  }

  /** Resolves when everything asked for so far has ended. */
  async over(): Promise<void> {
    await Promise.all(this.#last.values())
  }
}
