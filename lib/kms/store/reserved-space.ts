import { open } from 'node:fs/promises'

const STEP_BYTES = 512 * 1024

/**
 * Space at the end of a database's file that it can grow into. A full disk then refuses the space, before anything is written,
 * and not a page in the middle of a transaction: LMDB's binding (3.5.6) may damage its memory when it words that error.
 */
export class ReservedSpace {
  readonly #path: string
  readonly #usedBytes: () => number
  #leftBytes = 0

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
    if (this.#leftBytes < sizeBytes) await this.#measure(sizeBytes)
    this.#leftBytes -= sizeBytes
  }

  async #measure(sizeBytes: number): Promise<void> {
    const file = await open(this.#path, 'r+')
    try {
      const wantedBytes = this.#usedBytes() + sizeBytes
      let { size } = await file.stat()
      while (size < wantedBytes) {
        const { bytesWritten } = await file.write(Buffer.alloc(STEP_BYTES), 0, STEP_BYTES, size)
        size += bytesWritten
      }
      this.#leftBytes = size - this.#usedBytes()
    } finally {
      await file.close()
    }
  }
}
