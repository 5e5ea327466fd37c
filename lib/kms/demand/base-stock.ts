import { normalQuantile, poissonQuantile } from './poisson.ts'
import type { RateEstimate } from './rate-estimate.ts'

/** What a base stock has to cover. */
export interface BaseStockTerms {
  /** From an order to the key it brings, plus the time to the next order, in milliseconds. */
  readonly protectionMs: number
  /** Share of the time in which it may be too little. */
  readonly tail: number
}

/**
 * The cells that stock and orders under way must come to, so that what is asked for until the next order arrives exceeds
 * them in a share `tail` of cases: the quantile of a Poisson number of requests of the usual size, or that of the normal
 * distribution with the estimate's own error in its variance, whichever is larger.
 */
export function baseStockCells(
  estimate: Pick<RateEstimate, 'perSecond' | 'batch' | 'dispersion' | 'errorVariance'>,
  { protectionMs, tail }: BaseStockTerms,
): number {
  const { perSecond, dispersion, errorVariance } = estimate
  if (!(perSecond > 0)) return 0
  const seconds = protectionMs / 1000
  const mean = perSecond * seconds
  const byCount = dispersion * poissonQuantile(mean / dispersion, tail)
  const byVariance = mean + normalQuantile(tail) * Math.sqrt(mean * dispersion + seconds * seconds * errorVariance)
  return Math.ceil(Math.max(byCount, byVariance))
}
