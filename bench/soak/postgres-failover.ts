import { runFailoverTrace } from '../../test/helpers/failover-trace.ts'
import { postgresPrograms } from '../../test/helpers/postgres.ts'
import type { SoakOptions } from '../soak.ts'

/**
 * Two site processes under traffic, one over a cluster of PostgreSQL whose primary is killed with SIGKILL `count` times
 * with a synchronous standby that takes over: no key and no key_ID twice. Needs `npm run build` first.
 */
export async function run({ count = 20, log }: SoakOptions): Promise<void> {
  const programs = postgresPrograms()
  if (programs === undefined) throw new Error('PostgreSQL is not installed (Debian package postgresql)')
  const report = await runFailoverTrace({ programs, count, built: true, log })
  log(JSON.stringify(report))
  if (report.wrong + report.twice > 0) throw new Error(report.faults.join('; '))
}
