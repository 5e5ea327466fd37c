import { poissonQuantile } from './poisson.ts'

/** Requests are counted in slots of this length, in milliseconds. */
const SLOT_MS = 50
/** Lengths of the windows that are looked at, in slots. */
const WINDOWS = [2, 4, 8, 20] as const
/** One more than the longest window: the slot under way is none of it. */
const SLOTS = 21
/** How improbable a window's count must be: about one false alarm in a week at these windows. */
const FALSE_ALARM = 1e-8
/** Fewer requests than this are no surge, whatever was expected. */
const LEAST_REQUESTS = 8

/**
 * Sees within about 100 ms that far more is asked for than was expected, from counts of several windows against what
 * chance allows. It goes by the requests themselves: while nobody asks nothing runs.
 */
export class SurgeDetector {
  /** Cells asked for in each of the last slots, by slot number modulo `SLOTS`. */
  readonly #cells = new Float64Array(SLOTS)
  readonly #limits = new Float64Array(WINDOWS.length)
  #slot = 0
  #firstSlot = 0

  constructor({ nowMs }: { nowMs: number }) {
    this.expect({ perSecond: 0, batch: 1, nowMs })
    this.restart(nowMs)
  }

  /** What demand is from now on taken to be, in cells a second, in requests of about `batch` cells. */
  expect({ perSecond, batch, nowMs }: { perSecond: number; batch: number; nowMs: number }): void {
    this.#moveTo(nowMs)
    for (const [at, slots] of WINDOWS.entries()) {
      const requests = (perSecond * slots * SLOT_MS) / 1000 / batch
      this.#limits[at] = batch * Math.max(LEAST_REQUESTS, poissonQuantile(requests, FALSE_ALARM))
    }
  }

  /** A request for `cells`: gives the new rate, in cells a second, where it can't be chance any more. */
  add(cells: number, nowMs: number): number | undefined {
    const isNewSlot = this.#moveTo(nowMs)
    const found = isNewSlot ? this.#look() : undefined
    this.#cells[this.#slot % SLOTS]! += cells
    return found
  }

  /** Begins to count anew: what came so far has been heeded. */
  restart(nowMs: number): void {
    this.#moveTo(nowMs)
    this.#cells.fill(0)
    this.#firstSlot = this.#slot
  }

  /** The highest rate of a window, up to the last whole slot, that is beyond its limit. */
  #look(): number | undefined {
    let found: number | undefined
    let cells = 0
    let window = 0
    for (let back = 1; back < SLOTS && this.#slot - back >= this.#firstSlot; back += 1) {
      cells += this.#cells[(this.#slot - back) % SLOTS]!
      if (back !== WINDOWS[window]) continue
      if (cells > this.#limits[window]!) found = Math.max(found ?? 0, (cells * 1000) / (back * SLOT_MS))
      window += 1
    }
    return found
  }

  /** Empties the slots that have begun since; true for a new one. */
  #moveTo(nowMs: number): boolean {
    const slot = Math.floor(nowMs / SLOT_MS)
    if (slot <= this.#slot) return false
    const gone = Math.min(SLOTS, slot - this.#slot)
    for (let at = 0; at < gone; at += 1) this.#cells[(slot - at) % SLOTS] = 0
    this.#slot = slot
    return true
  }
}
