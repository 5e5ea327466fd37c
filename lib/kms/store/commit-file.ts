import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StoreError } from '../../errors.ts'
import type { CommitMark, CommitMarks } from '../../interface/commit-marks.ts'
import type { Closable } from '../../interface/lifecycle.ts'
import type { Logger } from '../../interface/logger.ts'

const FORMAT = 2
/** Marks are written at most this often. */
const WRITE_EVERY_MS = 500

interface CommitFileText {
  readonly format: number
  /** Digest of what follows: a digit that fell over would tell of a restore that never was, or hide one. */
  readonly check: string
  readonly pools: Readonly<Record<string, CommitMark>>
}

/** The marks of a host's pools in one small file, written whole beside itself, synced and renamed. */
export class CommitFile implements CommitMarks, Closable {
  readonly #path: string
  readonly #logger: Logger | undefined
  readonly #marks: Map<string, CommitMark>
  #isDirty = false
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(path: string, marks: Map<string, CommitMark>, logger: Logger | undefined) {
    this.#path = path
    this.#marks = marks
    this.#logger = logger
  }

  /**
   * Opens the file; one that is missing has no marks yet.
   * @throws {StoreError} it cannot be read, or is none of ours
   */
  static async open(path: string, { logger }: { logger?: Logger | undefined } = {}): Promise<CommitFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined
      throw new StoreError(`Cannot read the commit numbers in ${path}: ${cause.message}`, { cause })
    })
    return new CommitFile(path, text === undefined ? new Map() : parse(text, path), logger)
  }

  read(poolId: string): CommitMark | undefined {
    return this.#marks.get(poolId)
  }

  note(poolId: string, mark: CommitMark): void {
    if (this.#closed) return
    this.#marks.set(poolId, mark)
    this.#isDirty = true
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#writing.then(() => this.#write())
    }, WRITE_EVERY_MS)
    this.#timer.unref()
  }

  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Writes what is not written yet. */
  close(): Promise<void> {
    this.#closed = true
    return this.flush()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #write(): Promise<void> {
    if (!this.#isDirty) return
    this.#isDirty = false
    const pools = Object.fromEntries(this.#marks)
    const text: CommitFileText = { format: FORMAT, check: digestOf(pools), pools }
    const draft = `${this.#path}.tmp`
    try {
      const file = await open(draft, 'w', 0o600)
      try {
        await file.writeFile(`${JSON.stringify(text)}\n`)
        await file.datasync()
      } finally {
        await file.close()
      }
      await rename(draft, this.#path)
    } catch (error) {
      this.#isDirty = true
      // The peer is told as often; without this copy some restores are not noticed, and nothing else suffers.
      this.#logger?.error({ path: this.#path, err: String(error) }, 'The commit numbers cannot be written')
    }
  }
}

function digestOf(pools: CommitFileText['pools']): string {
  return createHash('sha256').update(JSON.stringify(pools)).digest('hex')
}

function parse(text: string, path: string): Map<string, CommitMark> {
  try {
    const { format, check, pools } = JSON.parse(text) as CommitFileText
    if (format !== FORMAT) throw new StoreError(`it has format ${format}; this version reads ${FORMAT}`)
    if (check !== digestOf(pools)) throw new StoreError('it was altered')
    const marks = Object.entries(pools)
    for (const [, { poolEpoch, commits, isWhole }] of marks)
      if (!Number.isSafeInteger(poolEpoch) || !Number.isSafeInteger(commits) || typeof isWhole !== 'boolean')
        throw new StoreError('a mark in it is damaged')
    return new Map(marks)
  } catch (cause) {
    throw new StoreError(
      `The commit numbers in ${path} cannot be used: ${(cause as Error).message}. Remove the file and start with --after-restore`,
      { cause },
    )
  }
}
