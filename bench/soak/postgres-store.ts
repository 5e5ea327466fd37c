import { tryPoolStore } from '../../test/helpers/pool-store-trial.ts'
import { PostgresNode, postgresPrograms } from '../../test/helpers/postgres.ts'
import { PostgresPools } from '../../test/helpers/postgres-pools.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import type { SoakOptions } from '../soak.ts'

/** As `store`, in PostgreSQL: each time that it is opened again, another owner follows. */
export async function run({ count = 100, log }: SoakOptions): Promise<void> {
  const programs = postgresPrograms()
  if (programs === undefined) throw new Error('PostgreSQL is not installed (Debian package postgresql)')
  await using server = await PostgresNode.create(programs)
  await server.start()
  await using dir = await createTempDir()
  await using tried = await new PostgresPools(server.url, dir.path).start()
  log(JSON.stringify(await tryPoolStore(tried, { runs: count })))
}
