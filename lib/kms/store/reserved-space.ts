import { open } from 'node:fs/promises'

const STEP_BYTES = 512 * 1024

/**
 * Space at the end of a database's file that it can grow into. A full disk then refuses the space, before anything is written,
 * and not a page in the middle of a transaction: LMDB's binding (3.5.6) may damage its memory when it words that error.
 */
export class ReservedSpace {
  readonly #path: string
  readonly #usedBytes: () => number
  /** How long the file is at least. */
  #sizeBytes = 0

  /** `usedBytes` tells how much of the file is in use, from its beginning on. */
  constructor(path: string, usedBytes: () => number) {
    this.#path = path
    this.#usedBytes = usedBytes
  }

  /**
   * Has `sizeBytes` ready for the next transaction.
   * @throws {Error} the disk does not have them
   */
  async take(sizeBytes: number): Promise<void> {
    const wantedBytes = this.#usedBytes() + sizeBytes
    if (wantedBytes > this.#sizeBytes) await this.#grow(wantedBytes)
  }

  async #grow(wantedBytes: number): Promise<void> {
    const file = await open(this.#path, 'r+')
    try {
      let { size } = await file.stat()
      while (size < wantedBytes) {
        const { bytesWritten } = await file.write(Buffer.alloc(STEP_BYTES), 0, STEP_BYTES, size)
        size += bytesWritten
      }
      this.#sizeBytes = size
    } finally {
      await file.close()
    }
  }
}
