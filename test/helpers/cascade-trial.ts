import { readFileSync } from 'node:fs'
import { CascadeBatch, type CascadeVariantName, cascadeWords } from '../../lib/qll/bb84/cascade/batch.ts'
import type { PublishedVariantName } from '../../lib/qll/bb84/cascade/variants.ts'
import { binaryEntropy } from '../../lib/qll/bb84/model/entropy.ts'
import type { SeededRandom } from '../../lib/qll/bb84/random.ts'

/** One line of the published table. */
export interface PublishedPoint {
  readonly variant: PublishedVariantName
  readonly sizeBits: number
  readonly errorRate: number
  readonly efficiency: number
  readonly messages: number
  readonly frameErrorRate: number
  readonly runs: number
}

/** The figures published with cascade-cpp: 7 variants, 2 sizes of frames, 8 error rates. */
export function publishedPoints(): PublishedPoint[] {
  const text = readFileSync(new URL('../vectors/cascade-cpp-published.csv', import.meta.url), 'utf8')
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return lines.slice(1).map(line => {
    const [variant, ...numbers] = line.split(',')
    const [sizeBits, errorRate, efficiency, messages, frameErrorRate, runs] = numbers.map(Number)
    return {
      variant: variant as PublishedVariantName,
      sizeBits: sizeBits!,
      errorRate: errorRate!,
      efficiency: efficiency!,
      messages: messages!,
      frameErrorRate: frameErrorRate!,
      runs: runs!,
    }
  })
}

/** What `frames` frames cost. */
export interface CascadeTrial {
  /** Parities disclosed over the Shannon limit of the errors that were there. */
  readonly efficiency: number
  /** Messages of one side, a frame. */
  readonly messages: number
  readonly frameErrors: number
}

/**
 * Reconciles `frames` frames, each with exactly round(rate × size) errors, one after the other. Bob's bits stand for the
 * errors themselves and Alice's for zeros: only their difference matters, so one side is enough to know both.
 */
export function tryCascade(
  { variant, sizeBits, errorRate }: { variant: CascadeVariantName; sizeBits: number; errorRate: number },
  { frames, random }: { frames: number; random: SeededRandom },
): CascadeTrial {
  const errors = Math.round(errorRate * sizeBits)
  const seed = new Uint8Array(16)
  let [parities, messages, frameErrors] = [0, 0, 0]
  for (let i = 0; i < frames; i++) {
    const words = new Uint32Array(cascadeWords(sizeBits, 1))
    placeErrors(words, { sizeBits, errors, random })
    random.fill(seed)
    const batch = new CascadeBatch(words, {
      sizeBits,
      frames: 1,
      errorRate,
      seed,
      corrects: true,
      variant,
      // Some frames of option 8 disclose more parities than they have bits; the table counts them.
      disclosureLimit: 100 * sizeBits,
    })
    for (let round = batch.next(); round !== undefined; round = batch.next()) batch.accept(new Uint8Array(round.length))
    parities += batch.disclosedBits
    messages += batch.rounds
    if (words.some(word => word !== 0)) frameErrors++
  }
  const limit = sizeBits * binaryEntropy(errors / sizeBits)
  return { efficiency: parities / frames / limit, messages: messages / frames, frameErrors }
}

function placeErrors(
  words: Uint32Array,
  { sizeBits, errors, random }: { sizeBits: number; errors: number; random: SeededRandom },
): void {
  for (let left = errors; left > 0; ) {
    const at = random.below(sizeBits)
    if (((words[at >>> 5]! >>> (at & 31)) & 1) === 1) continue
    words[at >>> 5]! |= 1 << (at & 31)
    left--
  }
}
