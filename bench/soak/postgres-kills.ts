import { runKillTrace } from '../../test/helpers/kill-trace.ts'
import { PostgresNode, postgresPrograms } from '../../test/helpers/postgres.ts'
import type { SoakOptions } from '../soak.ts'

/** As `kills`, with the pools of both sites in PostgreSQL. Needs `npm run build` first. */
export async function run({ count = 20, log }: SoakOptions): Promise<void> {
  const programs = postgresPrograms()
  if (programs === undefined) throw new Error('PostgreSQL is not installed (Debian package postgresql)')
  await using server = await PostgresNode.create(programs)
  await server.start()
  const databases = { 'site-a': server.url, 'site-b': server.url }
  const report = await runKillTrace({ kills: count, built: true, log, sites: { databases } })
  log(JSON.stringify(report))
  if (report.wrong + report.twice + report.refused > 0) throw new Error(report.faults.join('; '))
}
