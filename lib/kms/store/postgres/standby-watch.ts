import { setTimeout as sleep } from 'node:timers/promises'
import type { Closable } from '../../../interface/lifecycle.ts'
import type { PostgresClient } from '../../../util/postgres-client.ts'
import type { StoreConnection } from './connect-store.ts'

/** Time between two looks, in milliseconds. */
const LOOK_MS = 10_000

/** What a watch needs. */
export interface StandbyWatchOptions {
  readonly connect: () => Promise<StoreConnection>
  /** Told after each look that could see it; never for a database that has no standby and waits for none. */
  readonly onSynchronous: (isSynchronous: boolean) => void
  /** Default 10 s. */
  readonly lookMs?: number
}

/**
 * Looks whether the standbys have what the database commits, over a connection of its own that only reads: while too few
 * are in step commits wait, and whoever owned the pools loses them over it. So every replica looks, owner or not.
 */
export class StandbyWatch implements Closable {
  readonly #options: StandbyWatchOptions
  readonly #ending = new AbortController()
  readonly #running: Promise<void>

  constructor(options: StandbyWatchOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      try {
        const { client } = await this.#options.connect()
        try {
          await this.#look(client)
        } finally {
          await client[Symbol.asyncDispose]()
        }
      } catch {
        // The election says why the database cannot be reached. What was seen last stands.
        await this.#wait()
      }
    }
  }

  async #look(client: PostgresClient): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const isSynchronous = await standbyInStep(client)
      if (isSynchronous !== undefined) this.#options.onSynchronous(isSynchronous)
      await this.#wait()
    }
  }

  async #wait(): Promise<void> {
    const { signal } = this.#ending
    await sleep(this.#options.lookMs ?? LOOK_MS, undefined, { signal, ref: false }).catch(() => {})
  }
}

/**
 * Whether as many standbys as commits wait for have all that was committed. Undefined where the database neither has one
 * nor waits for one, and where the role may not see it: PostgreSQL shows what a standby does to members of
 * pg_read_all_stats.
 */
export async function standbyInStep(client: PostgresClient): Promise<boolean | undefined> {
  const [row] = await client.query(`select
    current_setting('synchronous_standby_names') as names,
    count(*)::int as standbys,
    count(*) filter (where sync_state in ('sync', 'quorum'))::int as in_step,
    count(*) filter (where sync_state is null)::int as hidden
    from pg_stat_replication where application_name <> 'pg_basebackup'`)
  const { names, standbys, in_step: inStep, hidden } = row as Record<string, number> & { names: string }
  if (inStep! >= standbysWaitedFor(names)) return true
  if (hidden! > 0) return undefined
  return names.trim() === '' && standbys === 0 ? undefined : false
}

/** Of `synchronous_standby_names`: `ANY 2 (a, b)`, `FIRST 2 (a, b)` and `2 (a, b)` name a number, a list alone means one. */
function standbysWaitedFor(names: string): number {
  return Number(/^\s*(?:(?:any|first)\s+)?(\d+)\s*\(/i.exec(names)?.[1] ?? 1)
}
