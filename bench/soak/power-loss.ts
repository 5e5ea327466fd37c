import { runPowerTrace } from '../../test/helpers/power-trace.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * Two site processes under traffic in both directions, one of which loses its power at a random step of its disk, `count` times:
 * what it had not synced is gone, all of it or a random half. Needs `npm run build` first.
 */
export async function run({ count = 20, log }: SoakOptions): Promise<void> {
  const report = await runPowerTrace({ losses: count, rekey: true, built: true, log })
  log(JSON.stringify(report))
  if (report.wrong + report.twice + report.refused > 0) throw new Error(report.faults.join('; '))
}
