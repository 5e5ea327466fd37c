import { timingSafeEqual } from 'node:crypto'
import { ProtocolError } from '../../../errors.ts'
import { ByteReader, ByteWriter } from '../../../util/bytes.ts'
import { VERIFICATION_SEED_BYTES, VERIFICATION_TAG_BYTES, verificationTag } from '../hash/verification.ts'
import type { PulseRecords } from '../photons/records.ts'
import { MESSAGE, type Received } from './conversation.ts'
import type { EndContext, Outcome, Untouched } from './end.ts'
import { decodeCounts, secretLength, sum } from './key-length.ts'
import { type Reconciled, reconcile } from './reconcile.ts'
import { drawSample, estimateErrorRate, sampleErrors } from './sampling.ts'
import { announceClicks, CLICKS_PER_MESSAGE, keepSifted, type SiftedKey } from './sifting.ts'

const SEED_BYTES = 16

/** Bob's end of one block: he tells when he saw something, follows, and checks what he is told. */
export async function bobBlock(context: EndContext): Promise<Outcome> {
  const detected = await context.nextRecords()
  try {
    return await distil(context, detected)
  } finally {
    detected.states.fill(0)
  }
}

async function distil(context: EndContext, detected: PulseRecords): Promise<Outcome> {
  const { clock } = context
  const { block, pulses, gaps } = detected
  await announce(context, detected)
  const answer = await context.conversation.receive([MESSAGE.sifted, MESSAGE.abort], context.options)
  const seen: Untouched = { block, pulses, clicks: gaps.length, siftedBits: 0, keyBits: 0, estimate: undefined }
  if (answer.type === MESSAGE.abort) return aborted(seen, answer)
  clock.end('sifting')
  const reader = new ByteReader(answer.body)
  const sample = { sampleBits: reader.u32(), sampleSeed: reader.raw(SEED_BYTES) }
  const seed = reader.raw(SEED_BYTES)
  const theirs = reader.raw(Math.ceil(sample.sampleBits / 8))
  const sifted = keepSifted(detected, reader.raw(reader.remaining))
  try {
    const { key, estimate } = await estimateWithAlice(context, sifted, { ...sample, theirs })
    clock.end('estimation')
    return await correct(context, key, {
      ...seen,
      siftedBits: sifted.sizeBits,
      keyBits: key.sizeBits,
      estimate,
      seed,
    })
  } finally {
    sifted.words.fill(0)
  }
}

async function announce({ conversation, options }: EndContext, detected: PulseRecords): Promise<void> {
  const clicks = detected.gaps.length
  const pieces = Math.ceil(clicks / CLICKS_PER_MESSAGE)
  const header = new ByteWriter().u64(detected.block).u32(pieces).bytes()
  await conversation.send(MESSAGE.clicks, [header], options)
  for (let from = 0; from < clicks; from += CLICKS_PER_MESSAGE) {
    const to = Math.min(from + CLICKS_PER_MESSAGE, clicks)
    await conversation.send(MESSAGE.clicks, [announceClicks(detected, from, to)], options)
  }
}

async function estimateWithAlice(
  { conversation, parameters, options }: EndContext,
  sifted: SiftedKey,
  { sampleBits, sampleSeed, theirs }: { sampleBits: number; sampleSeed: Uint8Array; theirs: Uint8Array },
) {
  if (sampleBits !== Math.min(parameters.sampleBits, sifted.sizeBits >>> 3)) {
    throw new ProtocolError(`A sample of ${sampleBits} bits was not agreed on`)
  }
  const { key, sample } = drawSample(sifted, { seed: sampleSeed, sampleBits })
  await conversation.send(MESSAGE.sampled, [sample], options)
  const rest = { sampleBits, restBits: key.sizeBits, epsilon: parameters.secrecy }
  return { key, estimate: estimateErrorRate(sampleErrors(sample, theirs), rest) }
}

async function correct(
  context: EndContext,
  key: SiftedKey,
  { seed, ...seen }: Untouched & { seed: Uint8Array },
): Promise<Outcome> {
  const { conversation, parameters, options, clock } = context
  // Alice may still give the block up: Bob's first parities wait for hers.
  const first = await conversation.receive([MESSAGE.parities, MESSAGE.abort], options)
  if (first.type === MESSAGE.abort) return aborted(seen, first)
  const errorRate = seen.estimate!.rate
  const agreed = { errorRate, seed, parameters, heard: first.body }
  const reconciled = await reconcile(conversation, key, { ...options, ...agreed, corrects: true })
  clock.end('correction')
  try {
    const answer = await conversation.receive([MESSAGE.amplify, MESSAGE.abort], options)
    if (answer.type === MESSAGE.abort) return { ...aborted(seen, answer), reconciled }
    return await amplify(context, answer.body, { ...seen, reconciled })
  } finally {
    reconciled.words.fill(0)
  }
}

async function amplify(
  context: EndContext,
  body: Buffer,
  seen: Untouched & { reconciled: Reconciled },
): Promise<Outcome> {
  const { conversation, parameters, options, clock } = context
  const { words, parities } = seen.reconciled
  const reader = new ByteReader(body)
  const verificationSeed = reader.raw(VERIFICATION_SEED_BYTES)
  const tag = reader.raw(VERIFICATION_TAG_BYTES)
  const counts = decodeCounts(reader)
  const outputBytes = reader.u32()
  const spares = reader.u8()
  const firstNumber = reader.u64()
  const seed = reader.raw(reader.remaining)
  const bounds = secretLength(counts, { parities, parameters })
  if (sum(counts.keyCounts) !== seen.keyBits || 8 * outputBytes > bounds.secretBits) {
    throw new ProtocolError(`A key of ${8 * outputBytes} bits does not follow from what was counted`)
  }
  const same = timingSafeEqual(verificationTag(words, verificationSeed), tag)
  await conversation.send(MESSAGE.verified, [Buffer.of(same ? 1 : 0)], options)
  clock.end('verification')
  const after = { ...seen, bounds, leakedBits: bounds.leakedBits }
  if (!same)
    return { ...after, outcome: 'aborted', reason: 'the keys did not verify as the same', cause: 'verification' }
  await conversation.receive([MESSAGE.done], options)
  const key = context.hash.hash(words, seed, outputBytes)
  clock.end('amplification')
  return { ...after, outcome: 'key', reason: undefined, key, firstNumber, spares }
}

function aborted(seen: Untouched, { body }: Received): Outcome {
  const cause = body[0] === 0 ? 'light' : 'records'
  return { ...seen, outcome: 'aborted', reason: body.toString('utf8', 1), cause }
}
