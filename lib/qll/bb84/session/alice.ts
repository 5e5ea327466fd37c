import { ProtocolError } from '../../../errors.ts'
import { ByteReader, ByteWriter } from '../../../util/bytes.ts'
import { multiplyShiftSeedBytes } from '../hash/multiply-shift.ts'
import { VERIFICATION_SEED_BYTES, verificationTag } from '../hash/verification.ts'
import type { PerIntensity } from '../model/finite-key.ts'
import type { PulseRecords } from '../photons/records.ts'
import type { RandomFill } from '../random.ts'
import { MESSAGE } from './conversation.ts'
import type { EndContext, Outcome, Untouched } from './end.ts'
import { type Counts, encodeCounts, predictedLength, secretLength } from './key-length.ts'
import { type Reconciled, reconcile } from './reconcile.ts'
import { drawSample, estimateErrorRate, sampleErrors } from './sampling.ts'
import { type SiftedKey, Sifting } from './sifting.ts'

/** Blocks that a side may have missed, and announcements that a block may have, before it is taken for nonsense. */
const MOST_SKIPPED = 16n
const MOST_PIECES = 4096

/** Public seeds of 16 bytes, for the sample and for the shuffles. */
const SEED_BYTES = 16

/** Alice's end of one block: she decides, for the intensities are hers to know. */
export async function aliceBlock(context: EndContext): Promise<Outcome> {
  const { conversation, options } = context
  await conversation.send(MESSAGE.start, [], options)
  const { prepared, sifting } = await sift(context)
  if (sifting === undefined) {
    context.holdRecords(prepared)
    return abort(context, untouched(prepared), 'the devices were not at the same block', 'records')
  }
  try {
    return await distil(context, prepared, sifting)
  } finally {
    prepared.states.fill(0)
    sifting.key.words.fill(0)
  }
}

async function distil(context: EndContext, prepared: PulseRecords, sifting: Sifting): Promise<Outcome> {
  const { parameters, clock, random } = context
  const sifted = sifting.key
  clock.end('sifting')
  const seen = { ...untouched(prepared), clicks: prepared.gaps.length, siftedBits: sifted.sizeBits }
  if (sifted.sizeBits < 2 * parameters.sampleBits) return abort(context, seen, 'too few clicks for an estimate')
  const seed = fresh(random, SEED_BYTES)
  const { key, estimate } = await estimateWithBob(context, sifting, seed)
  const counts = countsOf(sifting, key)
  clock.end('estimation')
  const estimated = { ...seen, keyBits: key.sizeBits, estimate }
  const refusal = refusalOf(context, counts, estimate.rate)
  if (refusal !== undefined) return abort(context, estimated, refusal)
  const reconciled = await reconcile(context.conversation, key, {
    ...context.options,
    errorRate: estimate.rate,
    seed,
    corrects: false,
    parameters,
  })
  clock.end('correction')
  try {
    return await amplify(context, { ...estimated, counts, reconciled })
  } finally {
    reconciled.words.fill(0)
  }
}

/** Bob's clicks against what was prepared for the same block; older records are dropped. */
async function sift({
  conversation,
  options,
  nextRecords,
}: EndContext): Promise<{ prepared: PulseRecords; sifting: Sifting | undefined }> {
  let heard = await conversation.receive([MESSAGE.clicks, MESSAGE.ready], options)
  // Bob said it again while the start was on its way.
  while (heard.type === MESSAGE.ready) heard = await conversation.receive([MESSAGE.clicks, MESSAGE.ready], options)
  const first = new ByteReader(heard.body)
  const block = first.u64()
  let pieces = first.u32()
  let prepared = await nextRecords()
  if (block > prepared.block + MOST_SKIPPED || pieces > MOST_PIECES) {
    throw new ProtocolError(`Block ${block} in ${pieces} pieces is not what comes after block ${prepared.block}`)
  }
  while (prepared.block < block) {
    prepared.states.fill(0)
    prepared = await nextRecords()
  }
  const sifting = prepared.block === block ? new Sifting(prepared) : undefined
  for (; pieces > 0; pieces--) {
    const { body } = await conversation.receive([MESSAGE.clicks], options)
    sifting?.take(body)
  }
  return { prepared, sifting }
}

async function estimateWithBob(context: EndContext, sifting: Sifting, shuffleSeed: Uint8Array) {
  const { conversation, parameters, options, random } = context
  const sampleBits = Math.min(parameters.sampleBits, sifting.key.sizeBits >>> 3)
  const sampleSeed = fresh(random, SEED_BYTES)
  const { key, sample } = drawSample(sifting.key, { seed: sampleSeed, sampleBits })
  const header = new ByteWriter().u32(sampleBits).raw(sampleSeed).raw(shuffleSeed).bytes()
  await conversation.send(MESSAGE.sifted, [header, sample, sifting.keep], options)
  const { body } = await conversation.receive([MESSAGE.sampled], options)
  if (body.byteLength !== sample.byteLength) throw new ProtocolError('The samples differ in length')
  const errors = sampleErrors(sample, body)
  const rest = { sampleBits, restBits: key.sizeBits, epsilon: parameters.secrecy }
  return { key, estimate: estimateErrorRate(errors, rest) }
}

function refusalOf({ parameters, reservedBits }: EndContext, counts: Counts, errorRate: number): string | undefined {
  if (errorRate > parameters.maximumErrorRate) {
    return `the error rate of ${percent(errorRate)} is above the limit of ${percent(parameters.maximumErrorRate)}`
  }
  const { secretBits, phaseErrorRate } = predictedLength(counts, { errorRate, parameters })
  const reserved = reservedBits()
  if (secretBits > reserved) return undefined
  if (secretBits > 0)
    return `${secretBits} bits of key are less than the ${reserved} that authentication needs: make blocks larger`
  return `no key is left at an error rate of ${percent(errorRate)} and a phase error rate of up to ${percent(phaseErrorRate)}`
}

async function amplify(
  context: EndContext,
  seen: Untouched & { counts: Counts; reconciled: Reconciled },
): Promise<Outcome> {
  const { conversation, parameters, options, random, clock, cutter } = context
  const { counts, reconciled, ...state } = seen
  const { words, parities, finished } = reconciled
  const bounds = secretLength(counts, { parities, parameters })
  const after = { ...state, reconciled, bounds, leakedBits: bounds.leakedBits }
  const outputBytes = Math.floor(bounds.secretBits / 8)
  if (!finished) return abort(context, after, 'error correction disclosed as much as there is key')
  if (8 * outputBytes <= context.reservedBits()) return abort(context, after, 'error correction left no key')
  const seed = fresh(random, multiplyShiftSeedBytes(words.length, outputBytes))
  const verificationSeed = fresh(random, VERIFICATION_SEED_BYTES)
  const tag = verificationTag(words, verificationSeed)
  const spares = context.sparesWithin(outputBytes)
  const firstNumber = context.takeNumbers(spares + cutter.countFor(outputBytes))
  const header = new ByteWriter()
    .raw(verificationSeed)
    .raw(tag)
    .raw(encodeCounts(counts))
    .u32(outputBytes)
    .u8(spares)
    .u64(firstNumber)
  await conversation.send(MESSAGE.amplify, [header.bytes(), seed], options)
  const { body } = await conversation.receive([MESSAGE.verified], options)
  clock.end('verification')
  if (body[0] !== 1)
    return { ...after, outcome: 'aborted', reason: 'the keys did not verify as the same', cause: 'verification' }
  await conversation.send(MESSAGE.done, [], options)
  const key = context.hash.hash(words, seed, outputBytes)
  clock.end('amplification')
  return { ...after, outcome: 'key', reason: undefined, key, firstNumber, spares }
}

async function abort(
  { conversation, options }: EndContext,
  seen: Untouched,
  reason: string,
  cause: 'light' | 'records' = 'light',
): Promise<Outcome> {
  await conversation.send(MESSAGE.abort, [Buffer.of(cause === 'light' ? 0 : 1), Buffer.from(reason, 'utf8')], options)
  return { ...seen, outcome: 'aborted', reason, cause }
}

function untouched({ block, pulses }: PulseRecords): Untouched {
  return { block, pulses, clicks: 0, siftedBits: 0, keyBits: 0, estimate: undefined }
}

function countsOf({ checkCounts, checkErrors }: Sifting, { intensities, sizeBits }: SiftedKey): Counts {
  let [decoys, vacua] = [0, 0]
  for (let i = 0; i < sizeBits; i++) {
    decoys += intensities![i]! & 1
    vacua += intensities![i]! >>> 1
  }
  const keyCounts: PerIntensity = [sizeBits - decoys - vacua, decoys, vacua]
  return { keyCounts, checkCounts: [...checkCounts] as PerIntensity, checkErrors: [...checkErrors] as PerIntensity }
}

function fresh(random: RandomFill, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  random(bytes)
  return bytes
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}
