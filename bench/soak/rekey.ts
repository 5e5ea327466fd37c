import { runRekeyTrace } from '../../test/helpers/rekey-trace.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * Kills of a site while its key encryption key changes, under load: every live key is served, none twice, none wrong, and none of
 * the old keys opens a slot in the end. Needs `npm run build` first.
 */
export async function run({ count = 20, log }: SoakOptions): Promise<void> {
  const report = await runRekeyTrace({ kills: count, built: true, log })
  log(JSON.stringify(report))
  if (report.wrong + report.twice + report.refused > 0) throw new Error(report.faults.join('; '))
  if (report.opened.old > 0) throw new Error(`${report.opened.old} slots open under a key that was replaced`)
}
