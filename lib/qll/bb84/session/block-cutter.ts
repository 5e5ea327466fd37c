import type { LinkBlock } from '../../../interface/link.ts'
import { SecretKey } from '../../../key/secret-key.ts'

/** Cuts the key of one block after the other into numbered secrets of one size; both ends cut alike. */
export class BlockCutter {
  readonly #sizeBytes: number
  #rest: Uint8Array
  #restBytes = 0

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes
    this.#rest = new Uint8Array(sizeBytes)
  }

  /** How many secrets `moreBytes` bytes of key will complete. */
  countFor(moreBytes: number): number {
    return Math.floor((this.#restBytes + moreBytes) / this.#sizeBytes)
  }

  /** The secrets that `key` completes, numbered from `firstNumber` on. The caller wipes `key`. */
  cut(key: Uint8Array, firstNumber: bigint): LinkBlock[] {
    const blocks: LinkBlock[] = []
    for (let at = 0; at < key.byteLength; ) {
      const piece = key.subarray(at, at + this.#sizeBytes - this.#restBytes)
      this.#rest.set(piece, this.#restBytes)
      this.#restBytes += piece.byteLength
      at += piece.byteLength
      if (this.#restBytes < this.#sizeBytes) break
      blocks.push({ number: firstNumber + BigInt(blocks.length), secret: SecretKey.copyOf(this.#rest) })
      this.#rest.fill(0)
      this.#restBytes = 0
    }
    return blocks
  }

  /** Overwrites what waits for more. */
  wipe(): void {
    this.#rest.fill(0)
    this.#restBytes = 0
  }
}
