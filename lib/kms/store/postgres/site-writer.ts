import { ClosedError, StoreError } from '../../../errors.ts'
import { BackOff } from '../../../util/back-off.ts'
import { delay } from '../../../util/deadline.ts'
import { type PostgresRow, sqlStateOf } from '../../../util/postgres-client.ts'
import type { StoreConnection } from './connect-store.ts'

/** Works that share one round trip, and those that may wait for the next. */
const MAX_TOGETHER = 512
const MAX_WAITING = 8_192

export type RowKind = 'pool' | 'block' | 'sealed' | 'note'

/** What one round trip writes; undefined takes a row away. A later write of the same row stands for an earlier one. */
export class Batch {
  readonly #rows = new Map<string, readonly [string, RowKind, Buffer, (() => Buffer) | undefined]>()
  readonly #slots = new Map<number, Buffer | undefined>()
  keyEpoch: number | undefined

  /** Asks for the value when the batch goes: only of the last one that was put in the row's place. */
  row(poolId: string, kind: RowKind, name: Buffer, value: (() => Buffer) | undefined): void {
    this.#rows.set(`${kind} ${name.toString('hex')} ${poolId}`, [poolId, kind, name, value])
  }

  slot(slot: number, value: Buffer | undefined): void {
    this.#slots.set(slot, value)
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0 && this.#slots.size === 0 && this.keyEpoch === undefined
  }

  /** The arguments of `qkd_commit` behind site, epoch and batch. */
  arguments(): unknown[] {
    const rows = [...this.#rows.values()]
    const columns = [0, 1, 2].map(at => rows.map(row => row[at]))
    const values = rows.map(([, , , value]) => value?.() ?? null)
    const slots = [...this.#slots.values()].map(value => value ?? null)
    return [this.keyEpoch ?? null, ...columns, values, [...this.#slots.keys()], slots]
  }
}

export type Query = (text: string, values: readonly unknown[]) => Promise<PostgresRow[]>

/** Rows of the database that are held in memory, and written ahead of it: read again where the database did not follow. */
export interface Held {
  /** Reads them, unless they are held. */
  load(query: Query): Promise<void>
  drop(): void
}

/** A piece of work for the next batch. */
export interface Work<T> {
  /** What must be held before, and is read again if the batch fails. */
  readonly needs: readonly Held[]
  /** Puts its writes into the batch and into what is held; what it gives is told when they are durable. */
  prepare(batch: Batch): T
}

/** What a writer is made from. */
export interface SiteWriterOptions {
  readonly siteId: string
  readonly epoch: number
  /** Number of the last batch that the database has. */
  readonly batch: number
  readonly connect: () => Promise<StoreConnection>
  /** False once this replica owns the site no more: then nothing is tried again. */
  readonly mayWrite: () => boolean
  /** Another owner has written, or it cannot be told what was: this one is at its end. */
  readonly onFenced: () => void
}

interface Waiting {
  readonly work: Work<unknown>
  resolve(value: never): void
  reject(reason: unknown): void
}

/**
 * Writes for the owner of a site: one transaction in flight, and what comes meanwhile goes together with the next. Batches
 * are numbered, so that one whose answer was lost is sent again without being written twice: a connection that breaks, or
 * a server that gives way to its standby, delays an answer and loses none.
 */
export class SiteWriter {
  readonly #options: SiteWriterOptions
  #batch: number
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #connection: Promise<StoreConnection> | undefined
  #end: StoreError | ClosedError | undefined

  constructor(options: SiteWriterOptions) {
    this.#options = options
    this.#batch = options.batch
  }

  /**
   * Does a piece of work in the next batch.
   * @throws {StoreError} nothing of it was written; or, where this replica owns the site no more, nothing is known
   */
  run<T>(work: Work<T>): Promise<T> {
    if (this.#end !== undefined) return Promise.reject(this.#end)
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(new StoreError('The store has fallen behind', { retryAfterMs: 1000 }))
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, resolve: resolve as (value: never) => void, reject })
      this.#flushing ??= this.#flush()
    })
  }

  /** Reads beside the batches. */
  readonly query: Query = (text, values) => this.#persist(({ client }) => client.query(text, values), { writes: false })

  async close(): Promise<void> {
    await this.#flushing
    this.#end ??= new ClosedError('The pool store is closed')
    const connection = await this.#connection?.catch(() => undefined)
    await connection?.client[Symbol.asyncDispose]()
  }

  async #flush(): Promise<void> {
    // The rest of this turn of the event loop goes along.
    await new Promise(setImmediate)
    while (this.#waiting.length > 0) await this.#writeTogether(this.#waiting.splice(0, MAX_TOGETHER))
    // At once: who was told a moment ago may come with more work before anything that waits for this promise runs.
    this.#flushing = undefined
  }

  async #writeTogether(group: readonly Waiting[]): Promise<void> {
    const needs = new Set(group.flatMap(({ work }) => work.needs))
    const batch = new Batch()
    const told: (() => void)[] = []
    try {
      for (const held of needs) await held.load(this.query)
      for (const { work, resolve, reject } of group) {
        try {
          const value = work.prepare(batch)
          told.push(() => resolve(value as never))
        } catch (error) {
          told.push(() => reject(error))
        }
      }
      if (!batch.isEmpty) await this.#write(batch)
      for (const tell of told) tell()
    } catch (error) {
      for (const held of needs) held.drop()
      for (const { reject } of group) reject(error)
    }
  }

  async #write(batch: Batch): Promise<void> {
    const { siteId, epoch, onFenced } = this.#options
    const values = [siteId, epoch, this.#batch + 1, ...batch.arguments()]
    const [row] = await this.#persist(
      ({ client }) => client.write('select qkd_commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as outcome', values),
      { writes: true },
    )
    if (row?.outcome !== 'done') {
      this.#end = new StoreError('Another replica owns the pools of this site by now')
      onFenced()
      throw this.#end
    }
    this.#batch += 1
  }

  /** Asks until the database has answered, over as many connections as it takes, as long as this replica owns the site. */
  async #persist(
    ask: (connection: StoreConnection) => Promise<PostgresRow[]>,
    { writes }: { writes: boolean },
  ): Promise<PostgresRow[]> {
    const backOff = new BackOff({ minMs: 20, maxMs: 500 })
    let mayBeWritten = false
    for (;;) {
      if (this.#end !== undefined) throw this.#end
      let asked = false
      try {
        this.#connection ??= this.#options.connect()
        const connection = await this.#connection
        asked = true
        return await ask(connection)
      } catch (error) {
        if (isRefusal(error)) {
          if (mayBeWritten) this.#giveUp(error)
          throw error
        }
        mayBeWritten ||= writes && asked
        await this.#drop()
        if (!this.#options.mayWrite()) {
          this.#end ??= new StoreError('This replica owns the pools of its site no more', { cause: error })
          throw this.#end
        }
      }
      await delay(backOff.nextMs())
    }
  }

  /**
   * An earlier try may be written, or still will be: a refusal does not say that nothing was, and the next batch under the
   * same number would be taken for that one. Under the next epoch nothing of it counts, or all.
   */
  #giveUp(cause: unknown): never {
    this.#end = new StoreError('Nobody knows whether the last batch was written', { cause })
    this.#options.onFenced()
    throw this.#end
  }

  async #drop(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined)
    this.#connection = undefined
    await connection?.client[Symbol.asyncDispose]()
  }
}

/** Classes of errors after which the same statement may be answered by another connection: 08, 40, 57; 25006 is a standby. */
const TRANSIENT = /^(?:08|40|57|25006)/

/** The server has refused the statement, and so has written nothing of it. */
function isRefusal(error: unknown): boolean {
  const state = sqlStateOf(error)
  return state !== undefined && !TRANSIENT.test(state)
}
