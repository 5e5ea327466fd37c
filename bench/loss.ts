import { breachOf, LOSS_RATIOS, runLossTrace } from '../test/helpers/loss-trace.ts'
import type { BenchSuite } from './report.ts'

/** Keys in both directions for each share of lost handshakes. */
const KEYS = 20_000
const QUICK_KEYS = 500

/**
 * The traffic under which the two ends of a pool must stay in step: shares of the handshakes are lost and come twice, all arrive in
 * another order. What goes astray costs a key each, and no more.
 */
export const run: BenchSuite['run'] = async (print, { quick }) => {
  const reports = await runLossTrace({ keys: quick ? QUICK_KEYS : KEYS, ratios: quick ? [0, 0.5] : LOSS_RATIOS })
  for (const report of reports) {
    const { ratio, drawn, dropped, duplicated, fetched, wrong, twice, refused, seconds } = report
    const at = `${100 * ratio} % astray,`
    print({ metric: `${at} issued`, value: drawn, unit: 'keys' })
    print({ metric: `${at} lost on the way`, value: dropped, unit: 'keys' })
    print({ metric: `${at} came twice`, value: duplicated, unit: 'keys' })
    print({ metric: `${at} fetched`, value: fetched, unit: 'keys' })
    print({ metric: `${at} wrong, twice or refused`, value: wrong + twice + refused, unit: 'keys' })
    print({ metric: `${at} rate`, value: drawn / seconds, unit: 'keys/s' })
    const breach = breachOf(report)
    if (breach !== undefined) throw new Error(breach)
  }
}
