import { poissonQuantile } from './poisson.ts'

/** Weights of the newest period: while demand is steady, and for some periods after it has changed. */
const STEADY_ALPHA = 0.3
const CHANGED_ALPHA = 0.7
/** Periods after a change until demand counts as steady again. */
const CHANGED_PERIODS = 5
/** Weight of the newest period in the variance, which is a slower affair than the mean. */
const VARIANCE_ALPHA = 1 / 60
/** How improbable a period's count must be before it is a change and not chance. */
const STEP_TAIL = 1e-4
const DROP_TAIL = 1e-6
/** A variance is known to a third at best: only what is beyond that counts as more than chance. */
const DISPERSION_SLACK = 1.5

/** How demand behaves: about the same for more than five periods, or on its way elsewhere. */
export type DemandTrend = 'steady' | 'changing'

/**
 * Mean and variance of what is asked for a second, from the count of each control period: exponential averages, whose
 * weight rises for some periods when a count is no chance any more. Counts are of cells; a request for several at once
 * makes the sum as uneven as that of fewer, larger ones, and `batch` says how large.
 */
export class RateEstimate {
  #perSecond = 0
  /** Variance of a second's sum over its mean, from counts: 1 for single cells at random. */
  #index = 1
  #batch = 1
  #periodsSinceChange = 0
  #alpha = CHANGED_ALPHA
  #periodMs = 1000

  /** Cells a second. */
  get perSecond(): number {
    return this.#perSecond
  }

  /** Cells that are asked for together, as the ratio of the mean square to the mean; at least 1. */
  get batch(): number {
    return this.#batch
  }

  /** Variance of demand over its mean, in cells: what one request takes, or more where requests come in clusters. */
  get dispersion(): number {
    return Math.max(this.#batch, this.#index / DISPERSION_SLACK)
  }

  /** Variance of `perSecond` itself as an estimate, in (cells a second) squared. */
  get errorVariance(): number {
    return ((this.#perSecond * this.dispersion * 1000) / this.#periodMs) * (this.#alpha / (2 - this.#alpha))
  }

  get trend(): DemandTrend {
    return this.#periodsSinceChange > CHANGED_PERIODS ? 'steady' : 'changing'
  }

  /** A control period has ended: what was asked in it, and the sum of the squares of the requests. */
  endPeriod({ cells, squares, periodMs }: { cells: number; squares: number; periodMs: number }): void {
    this.#periodMs = periodMs
    if (cells > 0) this.#batch += STEADY_ALPHA * (Math.max(1, squares / cells) - this.#batch)
    const seconds = periodMs / 1000
    const expected = this.#perSecond * seconds
    this.#periodsSinceChange += 1
    if (this.#isBeyond(expected, cells, DROP_TAIL)) {
      this.jump(cells / seconds)
      return
    }
    if (this.#isBeyond(cells, expected, STEP_TAIL)) this.#periodsSinceChange = 0
    this.#alpha = this.trend === 'steady' ? STEADY_ALPHA : CHANGED_ALPHA
    const error = cells - expected
    // While the mean itself moves, the error says nothing of the variance around it.
    if (this.trend === 'steady' && expected > 0) {
      this.#index += VARIANCE_ALPHA * ((error * error) / expected - this.#index)
    }
    this.#perSecond += (this.#alpha * error) / seconds
  }

  /** Demand is known to be another now; what was learnt of its mean is of no more use. */
  jump(perSecond: number): void {
    this.#perSecond = perSecond
    this.#periodsSinceChange = 0
    this.#alpha = CHANGED_ALPHA
  }

  /** True where `count` cells are more than chance makes of `mean`. */
  #isBeyond(count: number, mean: number, tail: number): boolean {
    const unit = this.dispersion
    return count / unit > poissonQuantile(Math.max(1, mean / unit), tail)
  }
}
