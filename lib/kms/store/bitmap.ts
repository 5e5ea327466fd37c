/** Cells of a block as bits, cell 0 in the lowest bit of the first byte. All functions take `from` to `to`, exclusive. */

export function isClear(bits: Uint8Array, from: number, to: number): boolean {
  for (let cell = from; cell < to; cell++) if ((bits[cell >> 3]! & (1 << (cell & 7))) !== 0) return false
  return true
}

/** A copy of `bits` with the range set. */
export function withSet(bits: Uint8Array, from: number, to: number): Uint8Array {
  const copy = bits.slice()
  setIn(copy, from, to)
  return copy
}

/** Sets the range in `bits` itself. */
export function setIn(bits: Uint8Array, from: number, to: number): void {
  for (let cell = from; cell < to; cell++) bits[cell >> 3]! |= 1 << (cell & 7)
}

/** How many bits of the range are set. */
export function countSet(bits: Uint8Array, from: number, to: number): number {
  let count = 0
  let cell = from
  while (cell < to) {
    if ((cell & 7) === 0 && cell + 8 <= to) {
      count += ONES[bits[cell >> 3]!]!
      cell += 8
    } else {
      count += (bits[cell >> 3]! >> (cell & 7)) & 1
      cell++
    }
  }
  return count
}

/** How many bits are set in each byte. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length)
