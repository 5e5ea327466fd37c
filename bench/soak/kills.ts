import { runKillTrace } from '../../test/helpers/kill-trace.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * Two site processes under traffic in both directions, one of them killed with SIGKILL at a random moment and started
 * again, `count` times. Needs `npm run build` first: starting from source takes longer than what is tested.
 */
export async function run({ count = 20, log }: SoakOptions): Promise<void> {
  const report = await runKillTrace({ kills: count, built: true, log })
  log(JSON.stringify(report))
  if (report.wrong + report.twice + report.refused > 0) throw new Error(report.faults.join('; '))
}
