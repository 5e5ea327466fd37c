import type { Client } from 'pg'
import { MissingDependencyError, StoreError } from '../errors.ts'
import { delay } from './deadline.ts'
import { deferred } from './deferred.ts'

/** How a database is reached. */
export interface PostgresOptions {
  /** Without a password in whatever others may read; see `password`. */
  readonly url: string
  readonly password?: string
  /** Under which the connection shows in `pg_stat_activity`. */
  readonly applicationName: string
  /** How long a connection may take to open, and a statement to be answered, in milliseconds. */
  readonly timeoutMs: number
  /** Who needs the package `pg`, as the subject of an error. */
  readonly neededBy: string
}

export type PostgresRow = Record<string, unknown>

/** One connection to PostgreSQL; statements are sent one after the other, in the order of the calls. */
export interface PostgresClient extends AsyncDisposable {
  /** Resolves with the reason when the connection is lost. */
  readonly lost: Promise<Error>
  /**
   * The rows that a statement gives; several statements without values give those of the last.
   * @throws {StoreError} the server refused it: `code` of its `cause` is the SQLSTATE. Or no answer came, and the connection is lost
   */
  query(text: string, values?: readonly unknown[]): Promise<PostgresRow[]>
  /**
   * The same for what must be durable: a server that answers with a warning has not kept its promise, such as when somebody
   * cancels a commit that waits for its standby. Then nothing is known, and the connection is closed.
   */
  write(text: string, values?: readonly unknown[]): Promise<PostgresRow[]>
}

/**
 * Opens a connection.
 * @throws {MissingDependencyError} the package `pg` is not installed
 * @throws {StoreError} no connection
 */
export async function connectPostgres(options: PostgresOptions): Promise<PostgresClient> {
  const client = await createClient(options)
  const connection = new Connection(client, options.timeoutMs)
  try {
    await client.connect()
  } catch (cause) {
    // One that never opened need not end in good order.
    cut(client)
    throw databaseError(cause)
  }
  return connection
}

/** SQLSTATE of what the server refused; undefined where it did not answer. */
export function sqlStateOf(error: unknown): string | undefined {
  // What the network says has codes of its own, and one of them is as long: EPIPE.
  const { code, severity } = ((error as Error).cause ?? {}) as { code?: unknown; severity?: unknown }
  return typeof code === 'string' && typeof severity === 'string' ? code : undefined
}

class Connection implements PostgresClient {
  readonly #client: Client
  readonly #timeoutMs: number
  readonly #lost = deferred<Error>()
  #isLost = false
  #warning: string | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(client: Client, timeoutMs: number) {
    this.#client = client
    this.#timeoutMs = timeoutMs
    const onLost = (reason: Error) => {
      this.#isLost = true
      this.#lost.resolve(reason)
    }
    client.on('error', onLost)
    client.on('end', () => onLost(new Error('The database has closed the connection')))
    client.on('notice', ({ code, message }) => {
      // Class 01 and the end of a server; all others are told for information.
      if (code?.startsWith('01') || code?.startsWith('57')) this.#warning = message ?? code
    })
  }

  get lost(): Promise<Error> {
    return this.#lost.promise
  }

  query(text: string, values: readonly unknown[] = []): Promise<PostgresRow[]> {
    return this.#inTurn(() => this.#ask(text, values))
  }

  write(text: string, values: readonly unknown[] = []): Promise<PostgresRow[]> {
    return this.#inTurn(async () => {
      this.#warning = undefined
      const rows = await this.#ask(text, values)
      if (this.#warning === undefined) return rows
      const error = databaseError(new Error(`it answered with a warning: ${this.#warning}`))
      this.#drop(error)
      throw error
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isLost) return
    // One whose server has gone away never ends in good order.
    const ended = this.#last.then(() => this.#client.end()).catch(() => {})
    await Promise.race([ended, this.lost, delay(this.#timeoutMs)])
    this.#drop(new StoreError('The connection to the database is closed'))
  }

  /** Nobody hears the warning of another's statement, and what waits for long has its whole time-out before it. */
  #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(ask)
    this.#last = turn.catch(() => {})
    return turn
  }

  async #ask(text: string, values: readonly unknown[]): Promise<PostgresRow[]> {
    try {
      const result = await this.#client.query(text, [...values])
      // Several statements at once have a result each.
      const last = (Array.isArray(result) ? result.at(-1) : result) as { rows: PostgresRow[] }
      return last.rows
    } catch (cause) {
      const error = databaseError(cause)
      // A statement that was not answered may still run: its connection is of no use any more.
      if (sqlStateOf(error) === undefined) this.#drop(error)
      throw error
    }
  }

  #drop(reason: Error): void {
    this.#isLost = true
    this.#lost.resolve(reason)
    cut(this.#client)
  }
}

/** Ends all that waits, and the socket with it: a server that answers nothing would keep that open, and the process with it. */
function cut(client: Client): void {
  void client.end().catch(() => {})
  client.connection.stream.destroy()
}

async function createClient({ url, password, applicationName, timeoutMs, neededBy }: PostgresOptions): Promise<Client> {
  const pg = await import('pg').catch((cause: unknown) => {
    throw new MissingDependencyError(`${neededBy} needs the package "pg": npm install pg`, { cause })
  })
  return new pg.default.Client({
    connectionString: url,
    ...(password === undefined ? {} : { password }),
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    keepAlive: true,
    application_name: applicationName,
  })
}

/** The message of the server, never what was sent to it. */
function databaseError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause
  return new StoreError(`The database: ${(cause as Error).message}`, { cause })
}
