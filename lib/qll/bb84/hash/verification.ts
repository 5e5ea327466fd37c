import { POLY1305_POINT_BYTES, RunningPoly1305 } from '../../../key/running-poly1305.ts'
import { forgeryBound } from '../../../key/wegman-carter.ts'
import { MultiplyShift, multiplyShiftSeedBytes } from './multiply-shift.ts'

/** Bytes that each side may see of the other's key when they compare: as much leaks. */
export const VERIFICATION_TAG_BYTES = 8
/** Words of the value in between. */
const VALUE_WORDS = 4
/** Bytes of public seed, drawn after the errors were corrected. */
export const VERIFICATION_SEED_BYTES =
  POLY1305_POINT_BYTES + multiplyShiftSeedBytes(VALUE_WORDS, VERIFICATION_TAG_BYTES)

/**
 * A short tag of a long key: a polynomial over the key, then a strongly universal hash of its value down to 64 bits. Two
 * keys that differ have the same tag with a probability of at most `verificationBound()` over the seed.
 */
export function verificationTag(words: Uint32Array, seed: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(words.byteLength)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < words.length; i++) view.setUint32(4 * i, words[i]!, true)
  const noPad = new Uint8Array(16)
  const value = new RunningPoly1305(seed.subarray(0, POLY1305_POINT_BYTES)).update(bytes).finish(noPad)
  const valueWords = Uint32Array.from({ length: VALUE_WORDS }, (_, i) => value.readUInt32LE(4 * i))
  const tag = new MultiplyShift().hash(valueWords, seed.subarray(POLY1305_POINT_BYTES), VERIFICATION_TAG_BYTES)
  for (const scratch of [bytes, value, valueWords]) scratch.fill(0)
  return tag
}

/** Highest probability that two different keys of so many words have the same tag. */
export function verificationBound(words: number): number {
  return forgeryBound(4 * words) + 2 ** (-8 * VERIFICATION_TAG_BYTES)
}
