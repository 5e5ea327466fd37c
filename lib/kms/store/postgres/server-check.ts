import { StoreError } from '../../../errors.ts'
import type { PostgresClient } from '../../../util/postgres-client.ts'

/** The oldest version that the schema was made for. */
const OLDEST = 130_000

/** Which server answers: after a fail-over the timeline is another, after a copy was put in its place both may be. */
export interface ServerIdentity {
  readonly systemIdentifier: string
  readonly timeline: number
}

/** Thrown where another server of the list may do: this one only reads. */
export class StandbyError extends StoreError {}

/**
 * Checks that what this server answers for is kept through a loss of power and, where it has standbys, through the loss of
 * the machine; asked of every connection, since the settings may be another role's or have changed.
 * @throws {StandbyError} it is a standby
 * @throws {StoreError} one of its settings would lose what it has answered for; names the setting and the fix
 */
export async function checkServer(client: PostgresClient): Promise<ServerIdentity> {
  // What a role or a database has set by default must not end our waits, nor hide a warning.
  await client.query(`set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0;
    set client_min_messages = warning; set default_transaction_isolation = 'read committed'`)
  const [settings] = await client.query(`select pg_is_in_recovery() as standby,
    current_setting('server_version_num')::int as version, current_setting('server_version') as version_text,
    current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit,
    current_setting('synchronous_standby_names') as synchronous_standby_names,
    (select count(*) from pg_stat_replication where application_name <> 'pg_basebackup')::int as standbys,
    (select count(*) from pg_replication_slots where slot_type = 'physical' and not temporary)::int as slots`)
  const { standby, version, standbys, slots } = settings as Record<string, number | boolean>
  if (standby === true) throw new StandbyError('The database is a standby: it reads, and cannot be written')
  if ((version as number) < OLDEST) {
    throw new StoreError(
      `The database is PostgreSQL ${settings!.version_text}; this version of qkdkit needs 13 or later`,
    )
  }
  for (const [name, allowed] of NEEDED) {
    const value = String(settings![name])
    if (allowed.includes(value)) continue
    throw new StoreError(
      `The database has ${name} = ${value}: it would lose what it has answered for, and keys would be given out twice; set ${name} = ${allowed.join(' or ')}`,
    )
  }
  if (String(settings!.synchronous_standby_names).trim() === '' && (standbys as number) + (slots as number) > 0) {
    throw new StoreError(
      "The database has standbys and synchronous_standby_names is empty: they lag behind, and one that takes over would give keys out twice; set synchronous_standby_names, such as to 'ANY 1 (*)'",
    )
  }
  // The one without privileges: the first 8 digits of a WAL file's name are its timeline.
  const [identity] = await client.query(`select
    (select system_identifier from pg_control_system())::text as system_identifier,
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint as timeline`)
  return { systemIdentifier: String(identity!.system_identifier), timeline: Number(identity!.timeline) }
}

const NEEDED: readonly (readonly [string, readonly string[]])[] = [
  ['fsync', ['on']],
  ['full_page_writes', ['on']],
  ['synchronous_commit', ['on', 'remote_apply']],
]
