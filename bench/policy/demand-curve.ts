/** Stock-outs over the mean pool: the demand monitor against fixed thresholds, on days with few surges and with many. */
import { type DayResult, fixedThreshold, monitored, runDemandDay } from '../../test/helpers/demand-trial.ts'
import type { BenchOptions, Report } from '../report.ts'

const ALLOWED_SHARE = 1 / 1000
const SEEDS = [1, 2, 3, 4]
const SURGES = [1, 3, 10, 30]
const THRESHOLDS = [100, 200, 300, 350, 380, 400, 405, 410, 415, 420, 430, 440, 460, 500]
/** Cells that the monitor is made to hold on top of what it would, for its own curve. */
const EXTRA_CELLS = [0, 50, 100, 200, 300, 400]

/** Reports both curves for each number of surges, and which of the two holds less where both let 1 request in 1,000 wait. */
export async function runDemandCurve(report: Report, { quick }: BenchOptions): Promise<void> {
  const seconds = quick ? 3_600 : 86_400
  for (const surges of quick ? [3] : SURGES) {
    const fixed: DayResult[] = []
    for (const cells of quick ? [100, 420] : THRESHOLDS) {
      const day = await runDemandDay({ seed: 1, surges, seconds }, fixedThreshold(cells))
      fixed.push(day)
      tell(report, `${surges} surges: fixed threshold of ${cells}`, day)
    }
    for (const reserveCells of quick ? [0] : EXTRA_CELLS) {
      const day = await runDemandDay({ seed: 1, surges, seconds }, monitored({ reserveCells }))
      tell(report, `${surges} surges: monitor, ${reserveCells} extra`, day)
    }
    const best = fixed.find(({ lateShare }) => lateShare <= ALLOWED_SHARE)
    if (best === undefined) continue
    for (const seed of quick ? [1] : SEEDS) {
      const day = await runDemandDay({ seed, surges, seconds }, monitored())
      const outcome = day.lateShare <= ALLOWED_SHARE ? 'within 1 in 1,000' : 'LOST: more than 1 in 1,000'
      report({
        metric: `${surges} surges: mean pool, seed ${seed}, ${outcome}`,
        value: day.meanCells,
        unit: 'cells',
        baseline: best.meanCells,
        ratio: day.meanCells / best.meanCells,
        samples: day.requests,
      })
    }
  }
}

function tell(report: Report, name: string, { meanCells, lateShare, requests }: DayResult): void {
  report({ metric: `${name}: mean pool`, value: meanCells, unit: 'cells', samples: requests })
  report({ metric: `${name}: late`, value: lateShare * 1000, unit: 'in 1,000', samples: requests })
}
