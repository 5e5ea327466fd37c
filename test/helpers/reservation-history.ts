/** One reservation that was acknowledged: the index it got, and between which moments of one clock it was asked for and answered. */
export interface Reservation {
  readonly index: number
  readonly begunNs: bigint
  readonly endedNs: bigint
  /** Who got it, for a person. */
  readonly by: string
}

/**
 * What is wrong with a history of reservations from one counter, if anything. It is linearizable if and only if no index
 * comes twice, and each reservation that was answered before another one was asked for has the lower index: then the order
 * of the indexes is an order of single steps that agrees with real time. Indexes that are missing were burned.
 */
export function historyFaults(history: readonly Reservation[]): string[] {
  const faults: string[] = []
  const byIndex = [...history].sort((a, b) => a.index - b.index)
  // From the last index back: the earliest end of all that come later in the order.
  let earliest: Reservation | undefined
  let next: Reservation | undefined
  for (const one of byIndex.reverse()) {
    if (next?.index === one.index) faults.push(`index ${one.index} was given to ${one.by} and to ${next.by}`)
    else if (earliest !== undefined && earliest.endedNs < one.begunNs) {
      faults.push(
        `${one.by} got index ${one.index} after ${earliest.by} had been answered with the later index ${earliest.index}`,
      )
    }
    if (earliest === undefined || one.endedNs < earliest.endedNs) earliest = one
    next = one
  }
  return faults
}
