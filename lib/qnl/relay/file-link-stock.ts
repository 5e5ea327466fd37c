import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ClosedError } from '../../errors.ts'
import type { LinkMarks, LinkStock, StockChange, StockSnapshot } from '../../interface/link-stock.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { StockFile } from './stock-file.ts'

/** The stock of a site's links in a directory, a file each. One process at a time: whoever opens it sees to that. */
export class FileLinkStock implements LinkStock {
  readonly #directory: string
  readonly #kek: SecretKey
  readonly #files = new Map<string, Promise<StockFile>>()
  #closed = false

  private constructor(directory: string, kek: SecretKey) {
    this.#directory = directory
    this.#kek = kek
  }

  /** Opens the directory, or creates it with mode 0700. The key encryption key stays the caller's. */
  static async open(directory: string, { kek }: { kek: SecretKey }): Promise<FileLinkStock> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return new FileLinkStock(directory, kek)
  }

  async snapshot(linkId: string): Promise<StockSnapshot> {
    return (await this.#file(linkId)).snapshot
  }

  async commit(linkId: string, changes: readonly StockChange[]): Promise<LinkMarks> {
    return await (await this.#file(linkId)).commit(changes)
  }

  async read(linkId: string, number: bigint): Promise<SecretKey> {
    return await (await this.#file(linkId)).read(number)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const file of this.#files.values()) await (await file).close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #file(linkId: string): Promise<StockFile> {
    if (this.#closed) return Promise.reject(new ClosedError('The link stock is closed'))
    const known = this.#files.get(linkId)
    if (known !== undefined) return known
    // Link IDs may hold what file names may not.
    const name = `${createHash('sha256').update(linkId).digest('hex').slice(0, 32)}.stock`
    const opened = StockFile.open(join(this.#directory, name), { linkId, kek: this.#kek })
    this.#files.set(linkId, opened)
    return opened
  }
}
