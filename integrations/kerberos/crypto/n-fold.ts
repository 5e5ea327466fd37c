/**
 * Stretches or folds `input` to `sizeBytes` (RFC 3961, section 5.1): copies of the input, each turned right by 13 bits
 * more than the one before, are added up in one's complement.
 */
export function nFold(input: Uint8Array, sizeBytes: number): Buffer {
  const inputBits = input.byteLength * 8
  const totalBytes = leastCommonMultiple(input.byteLength, sizeBytes)
  const sums = new Uint32Array(sizeBytes)
  for (let at = 0; at < totalBytes; at += 1) {
    const copy = Math.floor(at / input.byteLength)
    // The bit of the input that stands first in this byte of the copy.
    const first = (at % input.byteLength) * 8 - 13 * copy
    sums[at % sizeBytes]! += byteAt(input, mod(first, inputBits))
  }
  // One's complement: what is carried out of the first byte comes back into the last.
  for (let carry = 0, round = 0; round === 0 || carry > 0; round += 1) {
    for (let at = sizeBytes - 1; at >= 0; at -= 1) {
      carry += sums[at]!
      sums[at] = carry & 0xff
      carry >>>= 8
    }
  }
  return Buffer.from(sums)
}

/** Eight bits from bit `at` on, around the end. */
function byteAt(bytes: Uint8Array, at: number): number {
  const [byte, shift] = [at >>> 3, at & 7]
  return (((bytes[byte]! << 8) | bytes[(byte + 1) % bytes.byteLength]!) >>> (8 - shift)) & 0xff
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b]
  while (y !== 0) [x, y] = [y, x % y]
  return (a / x) * b
}
