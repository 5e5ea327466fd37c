import type { Unsubscribe } from '../interface/lifecycle.ts'

/** Who wants to hear of something, in order of subscription. */
export class Listeners<T> {
  readonly #listeners = new Set<{ call: (value: T) => void }>()

  /** The same function may be added twice; each subscription is removed on its own. */
  add(listener: (value: T) => void): Unsubscribe {
    const entry = { call: listener }
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  emit(value: T): void {
    for (const listener of [...this.#listeners]) {
      // One that another listener removed a moment ago is never called again.
      if (!this.#listeners.has(listener)) continue
      try {
        listener.call(value)
      } catch {
        // A listener that fails must not fail the layer that reports to it.
      }
    }
  }

  clear(): void {
    this.#listeners.clear()
  }
}
