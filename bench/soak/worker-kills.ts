import { runWorkerKills } from '../../test/helpers/worker-kill-trial.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * A site that serves its hosts from two workers, one of which is killed with SIGKILL under load, `count` times: every request
 * is answered or its connection closed, no key comes twice or wrong, and what nobody got is told as burned.
 */
export async function run({ count = 100, log }: SoakOptions): Promise<void> {
  const { faults, ...report } = await runWorkerKills({ kills: count, log })
  log(JSON.stringify(report))
  const { wrong, twice, unanswered, unaccounted } = report
  if (wrong + twice + unanswered + unaccounted > 0) throw new Error(faults.join('; ') || JSON.stringify(report))
}
