import { MissingDependencyError, StoreError } from '../../errors.ts'
import { delay } from '../../util/deadline.ts'
import type { ControllerMemory } from './controller-memory.ts'

/** Epochs that are set aside with one statement. */
const RESERVE = 1000
/** How long a statement may take, in milliseconds: a controller that cannot ask for so long leads no more. */
const STATEMENT_MS = 1500
/** Number of the advisory lock that whoever leads holds: the first 63 bits of SHA-256 of "qkdkit controller". */
const LOCK = '7271477087263041469'

/** How a replica reaches the database. */
export interface PostgresOptions {
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
export async function openPostgresSession({ url, password }: PostgresOptions): Promise<PostgresSession> {
  const { Client } = await loadPg()
  const client = new Client({
    connectionString: url,
    ...(password === undefined ? {} : { password }),
    connectionTimeoutMillis: STATEMENT_MS,
    query_timeout: STATEMENT_MS,
    keepAlive: true,
    application_name: 'qkd controller',
  })
  let tellLost: (reason: Error) => void = () => {}
  const lost = new Promise<Error>(resolve => {
    tellLost = resolve
  })
  client.on('error', tellLost)
  client.on('end', () => tellLost(new Error('The database has closed the connection')))
  const ask = async (text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> => {
    try {
      return (await client.query(text, values)).rows
    } catch (error) {
      throw new StoreError(`The controllers' database: ${(error as Error).message}`, { cause: error })
    }
  }
  try {
    await client.connect()
    await ask(`create table if not exists qkd_controller (
      only_row boolean primary key default true check (only_row),
      last_epoch bigint not null default 0, drained jsonb not null default '[]')`)
    await ask('insert into qkd_controller default values on conflict do nothing')
  } catch (error) {
    void client.end().catch(() => {})
    if (error instanceof StoreError) throw error
    throw new StoreError(`The controllers' database: ${(error as Error).message}`, { cause: error })
  }
  return {
    lost,
    tryToLead: async () => (await ask(`select pg_try_advisory_lock(${LOCK}) as mine`))[0]?.mine === true,
    check: async () => void (await ask('select 1')),
    memory: {
      reserve: async atLeast => {
        const [row] = await ask(
          'update qkd_controller set last_epoch = greatest(last_epoch, $1::bigint) + $2::bigint returning last_epoch',
          [atLeast, RESERVE],
        )
        return { first: Number(row!.last_epoch) - RESERVE + 1, count: RESERVE }
      },
      drained: async () => (await ask('select drained from qkd_controller'))[0]!.drained as string[],
      setDrained: async linkIds =>
        void (await ask('update qkd_controller set drained = $1', [JSON.stringify(linkIds)])),
    },
    // A connection that is lost already never ends in good order.
    [Symbol.asyncDispose]: async () => {
      await Promise.race([client.end().catch(() => {}), lost, delay(STATEMENT_MS)])
    },
  }
}

async function loadPg() {
  try {
    return (await import('pg')).default
  } catch (error) {
    throw new MissingDependencyError('Replicas of a controller need the package "pg": npm install pg', { cause: error })
  }
}
