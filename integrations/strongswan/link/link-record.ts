import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../../../lib/index.ts'

/** The key that a connection stands on, as it is remembered: by name, never by value. */
export interface RememberedKey {
  readonly epoch: number
  readonly keyId: string
  /** Since when it is in use, wall clock, in milliseconds. */
  readonly sinceMs: number
}

/** What must survive the agent, for one connection. */
export interface LinkRecord {
  /** The highest number of a rotation that was seen. */
  readonly epoch: number
  readonly committed: RememberedKey | null
  /** A key that was taken for a rotation of which the end is not known. */
  readonly pending: { readonly epoch: number; readonly keyId: string } | null
  /** Keys that were taken, the newest last: none of them may come a second time. */
  readonly used: readonly string[]
  /** Of these, the ones that never came into use. */
  readonly burned: readonly string[]
}

const MAX_USED = 1_024
const MAX_BURNED = 64
const EMPTY: LinkRecord = { epoch: 0, committed: null, pending: null, used: [], burned: [] }

/** The record of one connection, in a file of its own that is written whole and durably. */
export class LinkStore {
  readonly #directory: string
  readonly #path: string
  #record: LinkRecord = EMPTY
  #writing: Promise<void> = Promise.resolve()

  constructor(directory: string, connection: string) {
    this.#directory = directory
    this.#path = join(directory, `${connection}.json`)
  }

  get record(): LinkRecord {
    return this.#record
  }

  /**
   * Reads what an agent before this one has left.
   * @throws {ConfigError} the file can't be read; it names the file and the way out
   */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    try {
      this.#record = { ...EMPTY, ...requireRecord(JSON.parse(await readFile(this.#path, 'utf8'))) }
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
      const fix = 'remove it to begin anew; the next rotation takes a fresh key'
      throw new ConfigError(`${this.#path}: can't be read as the record of a connection; ${fix}`, { cause })
    }
  }

  /** A key was taken for a rotation: from now on it can't come again. */
  async take(epoch: number, keyId: string): Promise<void> {
    const { used } = this.#record
    await this.#write({ epoch, pending: { epoch, keyId }, used: [...used, keyId].slice(-MAX_USED) })
  }

  /** The key is in use. */
  async commit(key: RememberedKey): Promise<void> {
    const epoch = Math.max(this.#record.epoch, key.epoch)
    await this.#write({ epoch, committed: key, pending: null })
  }

  /** The pending key, or another, will never be in use. */
  async burn(keyId = this.#record.pending?.keyId): Promise<void> {
    if (keyId === undefined) return
    const { used, burned } = this.#record
    await this.#write({
      pending: null,
      used: used.includes(keyId) ? used : [...used, keyId].slice(-MAX_USED),
      burned: [...burned.filter(each => each !== keyId), keyId].slice(-MAX_BURNED),
    })
  }

  /** True for a key that was taken before. */
  hasUsed(keyId: string): boolean {
    return this.#record.used.includes(keyId)
  }

  async #write(change: Partial<LinkRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change }
    const text = `${JSON.stringify(this.#record)}\n`
    const write = this.#writing.then(() => this.#replace(text))
    this.#writing = write.catch(() => {})
    await write
  }

  async #replace(text: string): Promise<void> {
    const next = `${this.#path}.new`
    const file = await open(next, 'w', 0o600)
    try {
      await file.writeFile(text)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(next, this.#path)
  }
}

function requireRecord(value: unknown): Partial<LinkRecord> {
  const record = value as LinkRecord
  const names = (list: unknown) => Array.isArray(list) && list.every(each => typeof each === 'string')
  const fits =
    typeof value === 'object' &&
    value !== null &&
    Number.isSafeInteger(record.epoch) &&
    names(record.used) &&
    names(record.burned) &&
    [record.committed, record.pending].every(key => key === null || typeof key?.keyId === 'string')
  if (!fits) throw new TypeError('Fields are missing or of another kind')
  return record
}
