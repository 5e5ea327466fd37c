import { open, type RootDatabase } from 'lmdb'
import { StoreError } from '../../errors.ts'
import { ReservedSpace } from './reserved-space.ts'

/** A database of bytes under bytes. */
export type Lmdb = RootDatabase<Buffer, Buffer>

/** Pages that a transaction copies besides what it is given: the way to each row, and LMDB's list of free pages. */
const ROW_BYTES = 8 * 1024
const TRANSACTION_BYTES = 128 * 1024

interface Queued {
  /** An upper bound of what it writes. */
  readonly sizeBytes: number
  /** Reads what it needs, and gives what writes; the latter is not to throw. */
  readonly prepare: (db: Lmdb) => () => void
  resolve(): void
  reject(error: unknown): void
}

/**
 * A file of LMDB. Writes that come while the disk is busy share the next transaction and its sync, and are answered after it. One
 * transaction is under way at a time: after an error of the disk LMDB may give the file up for good, and answer nothing that
 * waits in its own queue. Here the file is opened again before the next one, so that a disk that works again is enough.
 */
export class LmdbFile {
  readonly #path: string
  readonly #readOnly: boolean
  readonly #space: ReservedSpace
  #db: Lmdb | undefined
  #queue: Queued[] = []
  #writing: Promise<void> | undefined

  /** @throws {Error} it cannot be opened */
  constructor(path: string, { readOnly = false }: { readOnly?: boolean } = {}) {
    this.#path = path
    this.#readOnly = readOnly
    this.#db = openFile(path, readOnly)
    this.#space = new ReservedSpace(path, () => this.read(usedBytes))
  }

  /**
   * Lends the database for reading, until `use` returns.
   * @throws {StoreError} it could not be opened again after an error of the disk
   */
  read<T>(use: (db: Lmdb) => T): T {
    if (this.#db === undefined) this.#reopen()
    return use(this.#db!)
  }

  /**
   * Runs `prepare` inside a transaction, in which it sees what those before it have written, and then what that gives, which
   * writes: at most `rows` of them, with `valueBytes` in all. Resolves when it is durable.
   * @throws {StoreError} the disk failed: nothing is known to be written
   */
  write(
    prepare: Queued['prepare'],
    { rows = 1, valueBytes = 0 }: { rows?: number; valueBytes?: number } = {},
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ sizeBytes: rows * ROW_BYTES + valueBytes, prepare, resolve, reject })
      this.#writing ??= this.#writeAll()
    })
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#db?.close()
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      // What comes in this turn of the event loop belongs to the same transaction.
      await new Promise(setImmediate)
      await this.#writeTogether(this.#queue.splice(0))
    }
    this.#writing = undefined
  }

  async #writeTogether(batch: readonly Queued[]): Promise<void> {
    const outcomes: (() => void)[] = []
    try {
      if (this.#db === undefined) this.#reopen()
      await this.#space.take(batch.reduce((sum, { sizeBytes }) => sum + sizeBytes, TRANSACTION_BYTES))
      await this.#db!.transaction(() => {
        for (const { prepare, resolve, reject } of batch) {
          let write: () => void
          try {
            write = prepare(this.#db!)
          } catch (error) {
            outcomes.push(() => reject(error))
            continue
          }
          write()
          outcomes.push(resolve)
        }
      })
      for (const tell of outcomes) tell()
    } catch (cause) {
      // A failed commit brings a second rejection along.
      ;(cause as { commitError?: Promise<unknown> }).commitError?.catch(() => {})
      await this.#giveUp()
      const error = new StoreError(`The store cannot be written: ${(cause as Error).message}`, { cause })
      for (const { reject } of batch) reject(error)
    }
  }

  async #giveUp(): Promise<void> {
    const db = this.#db
    this.#db = undefined
    await db?.close().catch(() => {})
  }

  #reopen(): void {
    try {
      this.#db = openFile(this.#path, this.#readOnly)
    } catch (cause) {
      throw new StoreError(`The store cannot be opened again after an error: ${(cause as Error).message}`, { cause })
    }
  }
}

function usedBytes(db: Lmdb): number {
  const { lastPageNumber, pageSize } = db.getStats() as { lastPageNumber: number; pageSize: number }
  return (lastPageNumber + 1) * pageSize
}

function openFile(path: string, readOnly: boolean): Lmdb {
  // overlappingSync would answer before the sync; the rest keeps keys and values as the bytes that we give.
  return open<Buffer, Buffer>({
    path,
    readOnly,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
    // Batches by the turn of the event loop fail with a promise that nobody holds.
    eventTurnBatching: false,
    noSubdir: true,
  })
}
