import { StoreError } from '../../../errors.ts'
import { connectPostgres, type PostgresClient } from '../../../util/postgres-client.ts'
import { postgresServers, withoutPassword } from '../../../util/postgres-hosts.ts'
import { checkServer, type ServerIdentity, StandbyError } from './server-check.ts'

/** Where the pools of a site are kept. */
export interface PostgresPlace {
  /** One server, or several of which one is written: see `postgresServers`. */
  readonly url: string
  readonly password?: string
  /** How long a connection may take to open and a statement to be answered, in milliseconds. */
  readonly timeoutMs: number
}

/** A connection to the server that is written, whose settings have passed the checks. */
export interface StoreConnection {
  readonly client: PostgresClient
  readonly server: ServerIdentity
}

/**
 * Connects to the first server of the list that is no standby.
 * @throws {StoreError} none answers, or its settings would lose what it answers for
 */
export async function connectStore(
  { url, password, timeoutMs }: PostgresPlace,
  applicationName: string,
): Promise<StoreConnection> {
  const failures: string[] = []
  for (const server of postgresServers(url)) {
    let client: PostgresClient | undefined
    try {
      client = await connectPostgres({
        url: server,
        ...(password === undefined ? {} : { password }),
        applicationName,
        timeoutMs,
        neededBy: 'A store in PostgreSQL',
      })
      return { client, server: await checkServer(client) }
    } catch (error) {
      await client?.[Symbol.asyncDispose]()
      const isElsewhere = error instanceof StandbyError || (error instanceof StoreError && error.cause !== undefined)
      if (!isElsewhere) throw error
      failures.push(`${withoutPassword(server)}: ${error.message}`)
    }
  }
  throw new StoreError(`No server of the store can be written: ${failures.join('; ')}`, { retryAfterMs: 1000 })
}
