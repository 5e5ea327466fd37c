const DAY_MS = 86_400_000
/** A mean over less time than this says nothing of a day. */
const LEAST_MEAN_MS = 60_000
/** Part of a day's allowance that a pool begins with. */
const FIRST_DAYS = 0.5
/** Requests that come late for each cell that a surge finds missing: some that waited go before new ones. */
const MISSES_PER_CELL = 1.1
/** What is left over a day without a surge of what the last ones were seen to lack. */
const KEPT_PER_DAY = 0.5

/** What happened in a control period. */
export interface PeriodCounts {
  readonly requests: number
  /** Requests that got their key later than promised, or were refused it. */
  readonly late: number
  readonly nowMs: number
}

/**
 * Keeps count of the late requests that are still allowed, and says what to hold against surges when too few are left for
 * one more. While there are enough, stock against a surge that may never come would lie idle: that is where a small pool
 * comes from. Once surges are frequent the account runs empty, and the reserve grows to what a surge was seen to lack.
 */
export class MissBudget {
  readonly #missShare: number
  #credit: number | undefined
  #requestsPerDay = 0
  #elapsedMs = 0
  /** Cells that a surge was seen to lack until its orders arrived. */
  #gap = 0
  #atMs: number

  /** `missShare` of all requests may be late. */
  constructor({ missShare, nowMs }: { missShare: number; nowMs: number }) {
    this.#missShare = missShare
    this.#atMs = nowMs
  }

  /** Late requests that are still allowed; below 0 more came late than was promised. */
  get credit(): number {
    return this.#credit ?? 0
  }

  /** Cells to hold on top of the base stock. */
  get reserveCells(): number {
    if (this.#gap === 0) return 0
    return Math.ceil(Math.max(0, Math.min(this.#gap, this.#gap - this.credit / MISSES_PER_CELL)))
  }

  /** A surge has come: `gapCells` more are asked for than was expected, until the first order for it can arrive. */
  sawSurge(gapCells: number): void {
    this.#gap = Math.max(this.#gap, gapCells)
  }

  endPeriod({ requests, late, nowMs }: PeriodCounts): void {
    const periodMs = nowMs - this.#atMs
    if (periodMs <= 0) return
    this.#atMs = nowMs
    this.#elapsedMs += periodMs
    this.#gap *= KEPT_PER_DAY ** (periodMs / DAY_MS)
    const weight = Math.min(1, periodMs / Math.min(DAY_MS, Math.max(LEAST_MEAN_MS, this.#elapsedMs)))
    this.#requestsPerDay += weight * ((requests * DAY_MS) / periodMs - this.#requestsPerDay)
    this.#account(requests * this.#missShare - late)
  }

  #account(change: number): void {
    const daily = this.#requestsPerDay * this.#missShare
    if (this.#credit === undefined) {
      if (this.#elapsedMs < LEAST_MEAN_MS) return
      this.#credit = daily * FIRST_DAYS
    }
    // No more than a day's allowance is saved up, or owed: one bad day would weigh on all that follow.
    this.#credit = Math.max(-daily, Math.min(daily, this.#credit + change))
  }
}
