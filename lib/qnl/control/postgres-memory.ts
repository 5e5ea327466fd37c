import { connectPostgres } from '../../util/postgres-client.ts'
import type { ControllerMemory } from './controller-memory.ts'

/** Epochs that are set aside with one statement. */
const RESERVE = 1000
/** How long a statement may take, in milliseconds: a controller that cannot ask for so long leads no more. */
const STATEMENT_MS = 1500
/** Number of the advisory lock that whoever leads holds: the first 63 bits of SHA-256 of "qkdkit controller". */
const LOCK = '7271477087263041469'

/** How a replica reaches the database. */
export interface PostgresMemoryOptions {
  readonly url: string
  readonly password?: string
}

/** One connection of a replica to the database that all replicas share. Whoever holds its lock leads. */
export interface PostgresSession extends AsyncDisposable {
  /** Resolves with the reason when the connection, and with it the lock, is lost. */
  readonly lost: Promise<Error>
  /** True if this session holds the lock now. @throws {StoreError} the database does not answer */
  tryToLead(): Promise<boolean>
  /** Proves that the session is alive. @throws {StoreError} it is not */
  check(): Promise<void>
  readonly memory: ControllerMemory
}

/**
 * Opens a session, and makes the table where it is missing.
 * @throws {MissingDependencyError} the package `pg` is not installed
 * @throws {StoreError} no connection
 */
export async function openPostgresSession(options: PostgresMemoryOptions): Promise<PostgresSession> {
  const client = await connectPostgres({
    ...options,
    applicationName: 'qkd controller',
    timeoutMs: STATEMENT_MS,
    neededBy: 'A controller with replicas',
  })
  try {
    await client.query(`create table if not exists qkd_controller (
      only_row boolean primary key default true check (only_row),
      last_epoch bigint not null default 0, drained jsonb not null default '[]')`)
    await client.query('insert into qkd_controller default values on conflict do nothing')
  } catch (error) {
    void client[Symbol.asyncDispose]()
    throw error
  }
  return {
    lost: client.lost,
    tryToLead: async () => (await client.query(`select pg_try_advisory_lock(${LOCK}) as mine`))[0]?.mine === true,
    check: async () => void (await client.query('select 1')),
    memory: {
      reserve: async atLeast => {
        const [row] = await client.query(
          'update qkd_controller set last_epoch = greatest(last_epoch, $1::bigint) + $2::bigint returning last_epoch',
          [atLeast, RESERVE],
        )
        return { first: Number(row!.last_epoch) - RESERVE + 1, count: RESERVE }
      },
      drained: async () => (await client.query('select drained from qkd_controller'))[0]!.drained as string[],
      setDrained: async linkIds =>
        void (await client.query('update qkd_controller set drained = $1', [JSON.stringify(linkIds)])),
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}
