import { serflingDeviation } from '../model/finite-key.ts'
import { SeededRandom } from '../random.ts'
import type { SiftedKey } from './sifting.ts'

/** The key without the bits that were drawn from it. */
export interface Sampled {
  readonly key: SiftedKey
  /** The drawn bits, 8 to a byte, lowest first: they are told, and never become key. */
  readonly sample: Uint8Array
}

/**
 * Draws `sampleBits` bits of the key without replacement; both sides draw the same ones from the same public seed. Each
 * drawn bit is replaced by the last one of the key, in place.
 */
export function drawSample(key: SiftedKey, { seed, sampleBits }: { seed: Uint8Array; sampleBits: number }): Sampled {
  const random = new SeededRandom(seed)
  const { words, intensities } = key
  const sample = new Uint8Array(Math.ceil(sampleBits / 8))
  let left = key.sizeBits
  for (let i = 0; i < sampleBits; i++) {
    const at = random.below(left)
    left--
    const drawn = (words[at >>> 5]! >>> (at & 31)) & 1
    const last = (words[left >>> 5]! >>> (left & 31)) & 1
    sample[i >>> 3]! |= drawn << (i & 7)
    words[at >>> 5]! ^= (drawn ^ last) << (at & 31)
    words[left >>> 5]! &= ~(1 << (left & 31))
    if (intensities !== undefined) intensities[at] = intensities[left]!
  }
  return { key: { ...key, sizeBits: left }, sample }
}

/** Bits in which the two samples differ. */
export function sampleErrors(ours: Uint8Array, theirs: Uint8Array): number {
  let errors = 0
  for (let i = 0; i < ours.length; i++) {
    for (let difference = ours[i]! ^ theirs[i]!; difference !== 0; difference &= difference - 1) errors++
  }
  return errors
}

/** What a sample says about the error rate of the bits that it was drawn from. */
export interface ErrorRateEstimate {
  /** Share of wrong bits in the sample. */
  readonly rate: number
  /** The rest of the key has at most this rate, but for a probability of `epsilon` (Serfling). */
  readonly upper: number
  /** And at least this one. */
  readonly lower: number
}

/** The estimate from `errors` wrong bits among `sampleBits`, drawn without replacement, for the `restBits` that are left. */
export function estimateErrorRate(
  errors: number,
  { sampleBits, restBits, epsilon }: { sampleBits: number; restBits: number; epsilon: number },
): ErrorRateEstimate {
  const rate = sampleBits === 0 ? 0.5 : errors / sampleBits
  const deviation = serflingDeviation(restBits, sampleBits, Math.sqrt(epsilon))
  return { rate, upper: Math.min(rate + deviation, 1), lower: Math.max(rate - deviation, 0) }
}
