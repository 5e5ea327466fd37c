import { constants, write } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ClosedError, StoreError } from '../../errors.ts'
import type { AuditEntry, AuditLog } from '../../interface/audit.ts'
import { syncDirectory } from '../../util/sync-directory.ts'
import { FIRST_LINK, formatLine, linkOf, MAX_LINE_BYTES, parseLine } from './audit-line.ts'

/**
 * Each write is on the disk when it returns, where the system has that: one trip to it for what would be two. Elsewhere
 * (undefined) the file is synced after each.
 */
const DSYNC = constants.O_DSYNC as number | undefined
const OPEN_FLAGS = constants.O_APPEND | constants.O_CREAT | constants.O_RDWR | (DSYNC ?? 0)

/** What goes into one write, but for its last line: so far behind the end a power loss may have torn the file. */
const MAX_WRITE_BYTES = 131_072

/** Entries that may wait for the disk; the next one is refused. */
const MAX_QUEUED = 10_000

interface Queued {
  readonly entry: AuditEntry
  resolve(): void
  reject(error: Error): void
}

/** What an audit file is opened with. */
export interface AuditFileOptions {
  readonly siteId: string
  readonly now?: () => number
}

/**
 * An audit log in a file of its own: one JSON line a decision, each with the hash of the line before. Entries that come while
 * the disk is busy share the next write and sync. A write that fails is undone, its entries are refused, and the next ones try
 * again.
 */
export class AuditFile implements AuditLog {
  readonly path: string
  readonly #file: FileHandle
  readonly #siteId: string
  readonly #now: () => number
  #queue: Queued[] = []
  #writing: Promise<void> | undefined
  #sizeBytes: number
  #n: number
  #link: string
  /** Set while the file may have more in it than was acknowledged. */
  #mayBeLonger = false
  #closing: Promise<void> | undefined

  private constructor(path: string, file: FileHandle, options: AuditFileOptions, end: AuditEnd) {
    this.path = path
    this.#file = file
    this.#siteId = options.siteId
    this.#now = options.now ?? Date.now
    this.#sizeBytes = end.sizeBytes
    this.#n = end.n
    this.#link = end.link
  }

  /**
   * Opens or begins the file. What a crash cut short, or a power loss tore in the middle, was never acknowledged, and goes.
   * @throws {StoreError} the file can't be opened, or its last line is none
   */
  static async open(path: string, options: AuditFileOptions): Promise<AuditFile> {
    let file: FileHandle | undefined
    try {
      file = await open(path, OPEN_FLAGS, 0o600)
      const end = await readEnd(file)
      await file.truncate(end.sizeBytes)
      if (end.n === 0) await syncDirectory(dirname(path))
      return new AuditFile(path, file, options, end)
    } catch (cause) {
      await file?.close().catch(() => {})
      throw new StoreError(`The audit log ${path} cannot be opened: ${(cause as Error).message}`, { cause })
    }
  }

  /** Number and hash of the last line: what to keep elsewhere, so that a shortened file is noticed. */
  get head(): { readonly n: number; readonly link: string } {
    return { n: this.#n, link: this.#link }
  }

  record(entry: AuditEntry): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(new ClosedError('The audit log is closed'))
    if (this.#queue.length >= MAX_QUEUED)
      return Promise.reject(new StoreError(`${MAX_QUEUED} entries wait for the audit log already`))
    return new Promise((resolve, reject) => {
      this.#queue.push({ entry, resolve, reject })
      this.#writing ??= this.#writeAll()
    })
  }

  close(): Promise<void> {
    this.#closing ??= (this.#writing ?? Promise.resolve()).then(() => this.#file.close())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      // What comes in this turn of the event loop belongs to the same write.
      await new Promise(setImmediate)
      await this.#writeBatch()
    }
    this.#writing = undefined
  }

  async #writeBatch(): Promise<void> {
    const at = new Date(this.#now()).toISOString()
    let n = this.#n
    let link = this.#link
    let [count, lengthBytes] = [0, 0]
    const lines: string[] = []
    const taken: Queued[] = []
    for (const queued of this.#queue) {
      if (lengthBytes >= MAX_WRITE_BYTES) break
      count += 1
      const line = formatLine(queued.entry, { n: n + 1, at, siteId: this.#siteId, follows: link })
      if (line.length > MAX_LINE_BYTES) {
        queued.reject(new StoreError(`An entry of the audit log would have more than ${MAX_LINE_BYTES} bytes`))
        continue
      }
      lines.push(`${line}\n`)
      taken.push(queued)
      lengthBytes += line.length
      n += 1
      link = linkOf(line)
    }
    this.#queue.splice(0, count)
    try {
      const bytes = Buffer.from(lines.join(''))
      await this.#append(bytes)
      this.#sizeBytes += bytes.byteLength
      this.#n = n
      this.#link = link
      for (const { resolve } of taken) resolve()
    } catch (cause) {
      const error = new StoreError(`The audit log cannot be written: ${(cause as Error).message}`, { cause })
      for (const { reject } of taken) reject(error)
    }
  }

  /** All of the bytes, durably, or none of them. */
  async #append(bytes: Uint8Array): Promise<void> {
    try {
      // What an earlier failure could not take back goes first.
      if (this.#mayBeLonger) await this.#file.truncate(this.#sizeBytes)
      this.#mayBeLonger = true
      for (let done = 0; done < bytes.byteLength; ) done += await writeAt(this.#file, bytes, done)
      if (DSYNC === undefined) await this.#file.datasync()
      this.#mayBeLonger = false
    } catch (error) {
      await this.#file.truncate(this.#sizeBytes).then(
        () => {
          this.#mayBeLonger = false
        },
        () => {},
      )
      throw error
    }
  }
}

/** One write at the end of the file; gives how many bytes it took. The callback costs half of what the promise does. */
function writeAt({ fd }: FileHandle, bytes: Uint8Array, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, from, bytes.byteLength - from, null, (error, written) => {
      if (error === null) resolve(written)
      else reject(error)
    })
  })
}

interface AuditEnd {
  readonly sizeBytes: number
  readonly n: number
  readonly link: string
}

/** The end of the last whole line, and what the next one follows. */
async function readEnd(file: FileHandle): Promise<AuditEnd> {
  const { size } = await file.stat()
  const lengthBytes = Math.min(size, MAX_WRITE_BYTES + 3 * (MAX_LINE_BYTES + 1))
  const whole = Buffer.alloc(lengthBytes)
  await file.read(whole, 0, lengthBytes, size - lengthBytes)
  // Where the file has grown and its bytes never came there are zeros, which no line has: the last write was torn.
  const torn = whole.indexOf(0)
  const tail = torn < 0 ? whole : whole.subarray(0, torn)
  const end = tail.lastIndexOf(0x0a)
  if (end < 0) {
    if (size > (torn < 0 ? MAX_LINE_BYTES : lengthBytes)) throw new Error('it has no end of a line where one must be')
    return { sizeBytes: 0, n: 0, link: FIRST_LINK }
  }
  const text = tail.subarray(tail.lastIndexOf(0x0a, end - 1) + 1, end).toString()
  const line = parseLine(text)
  if (typeof line === 'string') throw new Error(`its last line is ${line}`)
  return { sizeBytes: size - lengthBytes + end + 1, n: line.n, link: linkOf(text) }
}
