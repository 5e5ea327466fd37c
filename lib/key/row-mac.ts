import { timingSafeEqual } from 'node:crypto'
import { hmacTag } from './hkdf.ts'
import { joinSecrets } from './join.ts'
import type { SecretKey } from './secret-key.ts'

/** Length of a row's tag, in bytes. */
export const ROW_TAG_BYTES = 16

/** Tags that bind what a row says to the place where it lies: a row that was altered, or put in another's place, does not fit. */
export class RowMac {
  readonly #key: SecretKey

  /** The key may be wiped afterwards. */
  constructor(key: SecretKey) {
    this.#key = joinSecrets([key])
  }

  /** The row with its tag behind it. */
  protect(place: Uint8Array, row: Uint8Array): Buffer {
    return Buffer.concat([row, this.#tag(place, row)])
  }

  /** The row without its tag, or undefined where that does not fit. */
  open(place: Uint8Array, tagged: Uint8Array): Buffer | undefined {
    const bytes = Buffer.from(tagged.buffer, tagged.byteOffset, tagged.byteLength)
    const end = bytes.byteLength - ROW_TAG_BYTES
    if (end < 0) return undefined
    const row = bytes.subarray(0, end)
    return timingSafeEqual(bytes.subarray(end), this.#tag(place, row)) ? row : undefined
  }

  #tag(place: Uint8Array, row: Uint8Array): Buffer {
    const placed = Buffer.allocUnsafe(2 + place.byteLength + row.byteLength)
    placed.writeUInt16BE(place.byteLength)
    placed.set(place, 2)
    placed.set(row, 2 + place.byteLength)
    return hmacTag('sha256', this.#key, placed).subarray(0, ROW_TAG_BYTES)
  }
}
