/** What is said of a part of a request: names and numbers, never a key, and no key_ID as it is. */
export type TraceAttributes = Readonly<Record<string, string | number | readonly string[]>>

/** Follows a request through the layers. */
export interface Tracer {
  /**
   * Does `work` as a part (span) of what the caller does, and gives what it gives. The part lasts until the work is done, also
   * where that is later; what it fails with is told by its code alone. `told` says more, of a result.
   */
  span<T>(name: string, attributes: TraceAttributes, work: () => T, told?: (result: Awaited<T>) => TraceAttributes): T
}
