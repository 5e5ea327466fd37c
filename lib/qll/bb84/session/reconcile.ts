import type { AbortOptions } from '../../../interface/lifecycle.ts'
import { CascadeBatch, cascadeWords } from '../cascade/batch.ts'
import { binaryEntropy } from '../model/entropy.ts'
import { type Conversation, MESSAGE } from './conversation.ts'
import type { AgreedParameters } from './parameters.ts'
import type { SiftedKey } from './sifting.ts'

/** What error correction did. */
export interface Reconciled {
  /** The bits, filled up with zeros; at Bob's end with his errors corrected. */
  readonly words: Uint32Array
  /**
   * Questions, each of which told one parity of Alice's bits. Bob's parities tell where his errors were besides, which is
   * not counted: Tupkary and Lütkenhaus, arXiv 2307.00576, show when that is sound and when it costs key.
   */
  readonly parities: number
  readonly rounds: number
  readonly errors: number
  /** Parities over the Shannon limit of the errors that were found; undefined where there were none. */
  readonly efficiency: number | undefined
  /** False where it would have disclosed as many parities as there are bits. */
  readonly finished: boolean
}

/**
 * Runs one end of error correction over the conversation: both send, then both take what the other sent.
 * @param heard what the other end sent for the first round, where this end waited for it
 */
export async function reconcile(
  conversation: Conversation,
  key: SiftedKey,
  {
    errorRate,
    seed,
    corrects,
    parameters,
    heard,
    signal,
  }: AbortOptions & {
    errorRate: number
    seed: Uint8Array
    corrects: boolean
    parameters: AgreedParameters
    heard?: Uint8Array
  },
): Promise<Reconciled> {
  const { sizeBits } = key
  const frames = Math.max(Math.round(sizeBits / parameters.frameBits), 1)
  const words = new Uint32Array(cascadeWords(sizeBits, frames))
  words.set(key.words.subarray(0, Math.ceil(sizeBits / 32)))
  key.words.fill(0)
  const { variant } = parameters
  const batch = new CascadeBatch(words, { sizeBits, frames, errorRate, seed, corrects, variant })
  const options = signal === undefined ? {} : { signal }
  try {
    let theirs = heard
    for (let ours = batch.next(); ours !== undefined; ours = batch.next()) {
      await conversation.send(MESSAGE.parities, [ours], options)
      theirs ??= (await conversation.receive([MESSAGE.parities], options)).body
      batch.accept(theirs)
      theirs = undefined
    }
  } catch (reason) {
    words.fill(0)
    throw reason
  } finally {
    batch.wipe()
  }
  const { disclosedBits: parities, rounds, correctedBits: errors } = batch
  const limit = sizeBits * binaryEntropy(errors / sizeBits)
  return {
    words,
    parities,
    rounds,
    errors,
    efficiency: limit === 0 ? undefined : parities / limit,
    finished: !batch.exhausted,
  }
}
