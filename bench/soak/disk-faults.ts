import { runDiskFaults } from '../../test/helpers/disk/disk-fault-trial.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * A site process whose disk fills up or fails at one of its steps after the other, `count` times, and works again each time.
 * Needs `npm run build` first.
 */
export async function run({ count = 120, log }: SoakOptions): Promise<void> {
  const report = await runDiskFaults({ tries: count, built: true, log })
  log(JSON.stringify(report))
  if (report.faults.length > 0) throw new Error(report.faults.slice(0, 10).join('; '))
}
