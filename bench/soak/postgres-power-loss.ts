import { postgresPrograms } from '../../test/helpers/postgres.ts'
import { runPostgresPower } from '../../test/helpers/postgres-power.ts'
import type { SoakOptions } from '../soak.ts'

/** As `power-loss`, with the pools of each site in a PostgreSQL server, which loses its power too. Needs `npm run build` first. */
export async function run({ count = 20, log }: SoakOptions): Promise<void> {
  const programs = postgresPrograms()
  if (programs === undefined) throw new Error('PostgreSQL is not installed (Debian package postgresql)')
  const report = await runPostgresPower({ programs, losses: count, built: true, log })
  log(JSON.stringify(report))
  if (report.wrong + report.twice + report.refused > 0) throw new Error(report.faults.join('; '))
}
