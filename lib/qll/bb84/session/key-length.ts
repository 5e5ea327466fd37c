import { type ByteReader, ByteWriter } from '../../../util/bytes.ts'
import { VERIFICATION_TAG_BYTES } from '../hash/verification.ts'
import { expectedLeakBits } from '../model/expected-block.ts'
import {
  type BlockCounts,
  consolidatedKeyLength,
  type FiniteKeyEstimate,
  type PerIntensity,
} from '../model/finite-key.ts'
import type { AgreedParameters } from './parameters.ts'

/** What Alice counted; she tells it to Bob, who works the length out again. */
export type Counts = Pick<BlockCounts, 'keyCounts' | 'checkCounts' | 'checkErrors'>

/** Share of the Shannon limit that error correction is reckoned with before it runs. */
const RECKONED_EFFICIENCY = 1.1

/** Secret bits that a block is good for once `parities` parities of it were disclosed, and the bounds behind that. */
export function secretLength(
  counts: Counts,
  { parities, parameters }: { parities: number; parameters: AgreedParameters },
): FiniteKeyEstimate & { readonly leakedBits: number } {
  const { intensities, probabilities } = parameters.protocol
  const leakedBits = parities + 8 * VERIFICATION_TAG_BYTES
  // The verification tag is among what leaked, so nothing more is taken off for correctness.
  const epsilons = { secrecy: parameters.secrecy, correctness: 1 }
  return { ...consolidatedKeyLength({ intensities, probabilities, ...counts }, leakedBits, epsilons), leakedBits }
}

/** The same before error correction, for an estimated error rate. */
export function predictedLength(
  counts: Counts,
  { errorRate, parameters }: { errorRate: number; parameters: AgreedParameters },
): FiniteKeyEstimate {
  const parities = expectedLeakBits(sum(counts.keyCounts), errorRate, RECKONED_EFFICIENCY)
  return secretLength(counts, { parities, parameters })
}

/** The counts of all intensities together. */
export function sum(counts: PerIntensity): number {
  return counts[0] + counts[1] + counts[2]
}

/** The counts as nine numbers. */
export function encodeCounts({ keyCounts, checkCounts, checkErrors }: Counts): Buffer {
  const writer = new ByteWriter()
  for (const count of [...keyCounts, ...checkCounts, ...checkErrors]) writer.u32(count)
  return writer.bytes()
}

/** What `encodeCounts` gave. */
export function decodeCounts(reader: ByteReader): Counts {
  const three = (): PerIntensity => [reader.u32(), reader.u32(), reader.u32()]
  return { keyCounts: three(), checkCounts: three(), checkErrors: three() }
}
