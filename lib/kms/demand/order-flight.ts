interface Segment {
  readonly fromMs: number
  readonly perSecond: number
}

/**
 * Key that was granted and has not arrived. What is older than the lead time and not there is on its way no more, but for
 * the part of a block that the network still gathers.
 */
export class OrderFlight {
  readonly #leadMs: number
  readonly #unitCells: number
  /** Grants in order; the last one runs on. */
  #segments: Segment[] = []
  #untilMs = Number.POSITIVE_INFINITY
  #outstanding = 0
  #countedMs: number

  /** Key arrives `leadMs` after it was granted, in pieces of `unitCells`. */
  constructor({ leadMs, unitCells, nowMs }: { leadMs: number; unitCells: number; nowMs: number }) {
    this.#leadMs = leadMs
    this.#unitCells = unitCells
    this.#countedMs = nowMs
  }

  /** A rate, in cells a second, stands from now on, for `lifeMs` at the most. */
  grant(perSecond: number, nowMs: number, lifeMs = Number.POSITIVE_INFINITY): void {
    this.#count(nowMs)
    this.#segments.push({ fromMs: nowMs, perSecond })
    this.#untilMs = nowMs + lifeMs
  }

  /** Key has come. */
  arrive(cells: number, nowMs: number): void {
    this.#count(nowMs)
    this.#outstanding = Math.max(0, this.#outstanding - cells)
  }

  /** Cells that may still come. */
  cells(nowMs: number): number {
    this.#count(nowMs)
    return this.#outstanding
  }

  #count(nowMs: number): void {
    this.#outstanding += this.#granted(this.#countedMs, nowMs)
    this.#countedMs = Math.max(this.#countedMs, nowMs)
    const sinceMs = nowMs - this.#leadMs
    while (this.#segments.length > 1 && this.#segments[1]!.fromMs <= sinceMs) this.#segments.shift()
    const cap = this.#granted(sinceMs, nowMs)
    // Nothing granted for a whole lead time: nothing is being gathered either.
    this.#outstanding = Math.min(this.#outstanding, cap > 0 ? cap + this.#unitCells : 0)
  }

  /** Cells granted between two moments. */
  #granted(fromMs: number, toMs: number): number {
    let cells = 0
    for (const [at, { fromMs: start, perSecond }] of this.#segments.entries()) {
      const end = Math.min(toMs, this.#segments[at + 1]?.fromMs ?? this.#untilMs)
      cells += (Math.max(0, end - Math.max(fromMs, start)) * perSecond) / 1000
    }
    return cells
  }
}
