/** Every call that does I/O or waits takes a signal; an abort rethrows `signal.reason` as it is. */
export interface AbortOptions {
  signal?: AbortSignal
}

/**
 * What is opened must be closed by whoever created it; what was passed in is left open.
 * Constructors do no I/O: `open()` or a `createX()` function does.
 */
export interface Closable {
  /** Refuses new work, finishes what runs, releases everything. Idempotent; a second call waits for the first. */
  close(options?: AbortOptions): Promise<void>
  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A removed listener is never called again. */
export type Unsubscribe = () => void
