import { type FileHandle, open } from 'node:fs/promises'
import { StoreError } from '../../errors.ts'
import type { LinkMarks, StockChange, StockSnapshot } from '../../interface/link-stock.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import {
  decodeMarks,
  decodePlace,
  encodeMarks,
  encodePlace,
  HEAD_BYTES,
  MARKS_BYTES,
  numberIn,
  PLACE_BYTES,
} from './stock-place.ts'

interface PendingBatch {
  readonly changes: readonly StockChange[]
  resolve(marks: LinkMarks): void
  reject(reason: unknown): void
}

/**
 * The stock of one link in a file of places that are overwritten where they lie and synced: what is removed is gone, which
 * a database that copies on write could not say. Batches of the same moment share one sync.
 */
export class StockFile {
  readonly #file: FileHandle
  readonly #linkId: string
  readonly #kek: SecretKey
  /** Place of each block. */
  readonly #places = new Map<bigint, number>()
  readonly #free: number[] = []
  #end = 0
  #marks: LinkMarks
  #pending: PendingBatch[] = []
  #flushing: Promise<void> | undefined

  private constructor(file: FileHandle, { linkId, kek }: { linkId: string; kek: SecretKey }, marks: LinkMarks) {
    this.#file = file
    this.#linkId = linkId
    this.#kek = kek
    this.#marks = marks
  }

  /**
   * Opens the file, or creates it with mode 0600. The key stays the caller's.
   * @throws {StoreError} it can't be opened
   */
  static async open(path: string, options: { linkId: string; kek: SecretKey }): Promise<StockFile> {
    const file = await open(path, 'r+').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return open(path, 'wx+', 0o600)
      throw new StoreError(`Cannot open the link stock ${path}: ${cause.message}`, { cause })
    })
    const area = Buffer.alloc(MARKS_BYTES)
    await file.read(area, 0, MARKS_BYTES, 0)
    const stock = new StockFile(file, options, decodeMarks(area))
    const { size } = await file.stat()
    stock.#end = Math.max(0, Math.ceil((size - MARKS_BYTES) / PLACE_BYTES))
    for (let place = 0; place < stock.#end; place += 1) {
      const head = Buffer.alloc(HEAD_BYTES)
      await file.read(head, 0, HEAD_BYTES, offsetOf(place))
      const number = numberIn(head)
      if (number === undefined) stock.#free.push(place)
      else stock.#places.set(number, place)
    }
    return stock
  }

  get snapshot(): StockSnapshot {
    return { marks: this.#marks, numbers: [...this.#places.keys()].sort((a, b) => (a < b ? -1 : 1)) }
  }

  /** Resolves when the batch is on the disk. */
  commit(changes: readonly StockChange[]): Promise<LinkMarks> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ changes, resolve, reject })
      this.#flushing ??= this.#flush().finally(() => {
        this.#flushing = undefined
      })
    })
  }

  async read(number: bigint): Promise<SecretKey> {
    const place = this.#places.get(number)
    if (place === undefined) throw new StoreError(`The stock of link "${this.#linkId}" has no block ${number}`)
    const bytes = Buffer.alloc(PLACE_BYTES)
    await this.#file.read(bytes, 0, PLACE_BYTES, offsetOf(place))
    return decodePlace(this.#kek, this.#linkId, bytes)
  }

  async close(): Promise<void> {
    await this.#flushing
    await this.#file.close()
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const batches = this.#pending
      this.#pending = []
      const freed: number[] = []
      try {
        for (const { changes } of batches) for (const change of changes) await this.#write(change, freed)
        this.#marks = { ...this.#marks, commits: this.#marks.commits + 1 }
        const { at, bytes } = encodeMarks(this.#marks)
        await this.#file.write(bytes, 0, bytes.byteLength, at)
        await this.#file.datasync()
        // Only now: a place that is given away before the sync could keep its old head beside its new block.
        this.#free.push(...freed)
        for (const { resolve } of batches) resolve(this.#marks)
      } catch (cause) {
        const error = new StoreError(`The stock of link "${this.#linkId}" cannot be written`, { cause })
        for (const { reject } of batches) reject(error)
      }
    }
  }

  async #write(change: StockChange, freed: number[]): Promise<void> {
    switch (change.kind) {
      case 'put': {
        if (change.secret.wiped || this.#places.has(change.number)) return
        const place = this.#free.pop() ?? this.#end++
        const bytes = encodePlace(this.#kek, this.#linkId, change.number, change.secret)
        await this.#file.write(bytes, 0, PLACE_BYTES, offsetOf(place))
        this.#places.set(change.number, place)
        return
      }
      case 'remove': {
        const place = this.#places.get(change.number)
        if (place === undefined) return
        await this.#file.write(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, offsetOf(place))
        this.#places.delete(change.number)
        freed.push(place)
        return
      }
      case 'hear':
        if (change.commits > this.#marks.heardCommits) this.#marks = { ...this.#marks, heardCommits: change.commits }
        return
      case 'advance':
        if (change.commits > this.#marks.commits) this.#marks = { ...this.#marks, commits: change.commits }
        return
      case 'floor':
        if (change.number > this.#marks.floor) this.#marks = { ...this.#marks, floor: change.number }
    }
  }
}

function offsetOf(place: number): number {
  return MARKS_BYTES + place * PLACE_BYTES
}
