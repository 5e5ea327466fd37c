import { StoreError } from '../../../errors.ts'
import type { PostgresClient } from '../../../util/postgres-client.ts'
import { MIGRATIONS } from './migrations.ts'

/** Number of the lock under which one process at a time changes the schema: the first 63 bits of SHA-256 of "qkdkit schema". */
export const SCHEMA_LOCK = '4504659003426843046'

/**
 * Brings the schema of the database to this version's, each step in a transaction of its own. A step that another process
 * takes at the same moment is waited for.
 * @throws {StoreError} a newer version wrote the schema, or a step failed
 */
export async function migrate(client: PostgresClient, steps: readonly string[] = MIGRATIONS): Promise<void> {
  await client.query(`select pg_advisory_lock(${SCHEMA_LOCK})`)
  try {
    await client.query(
      'create table if not exists qkd_schema (version integer primary key, made_at timestamptz not null)',
    )
    const found = await requireKnownSchema(client, steps)
    for (const [at, step] of steps.entries()) {
      if (at < found) continue
      await client.write(`begin; ${step}; insert into qkd_schema values (${at + 1}, now()); commit`)
    }
  } finally {
    await client.query(`rollback; select pg_advisory_unlock(${SCHEMA_LOCK})`).catch(() => {})
  }
}

/**
 * Version of the schema in the database, which must have one.
 * @throws {StoreError} a newer version of qkdkit wrote it
 */
export async function requireKnownSchema(
  client: PostgresClient,
  steps: readonly string[] = MIGRATIONS,
): Promise<number> {
  const [row] = await client.query('select coalesce(max(version), 0) as version from qkd_schema')
  const found = Number(row!.version)
  if (found <= steps.length) return found
  throw new StoreError(
    `The database has schema ${found}; this version of qkdkit knows up to ${steps.length}: update it, or name another database`,
  )
}
