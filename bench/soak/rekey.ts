import { runKillTrace } from '../../test/helpers/kill-trace.ts'
import type { SoakOptions } from '../soak.ts'

/** Kills of a site while its key encryption key changes, under load: every live key is served, none twice, none wrong. */
export async function run({ count = 20, log }: SoakOptions): Promise<void> {
  const report = await runKillTrace({ kills: count, rekey: true, built: true, log })
  log(JSON.stringify(report))
  if (report.wrong + report.twice + report.refused > 0) throw new Error(report.faults.join('; '))
}
