import { createMemoryChannelPair } from '../lib/channel/memory-channel.ts'
import { RunningPoly1305 } from '../lib/key/running-poly1305.ts'
import { SecretKey } from '../lib/key/secret-key.ts'
import { WegmanCarter } from '../lib/key/wegman-carter.ts'
import { CascadeBatch, cascadeWords } from '../lib/qll/bb84/cascade/batch.ts'
import { MultiplyShift, multiplyShiftSeedBytes } from '../lib/qll/bb84/hash/multiply-shift.ts'
import { ChannelModel } from '../lib/qll/bb84/model/channel-model.ts'
import { binaryEntropy } from '../lib/qll/bb84/model/entropy.ts'
import { pulsesFor } from '../lib/qll/bb84/model/expected-block.ts'
import { BB84_PRESETS, type Bb84PresetName } from '../lib/qll/bb84/model/presets.ts'
import { PhotonChannel } from '../lib/qll/bb84/photons/photon-channel.ts'
import type { PulseRecords, RecordSource } from '../lib/qll/bb84/photons/records.ts'
import { SeededRandom, systemRandom } from '../lib/qll/bb84/random.ts'
import { Bb84Session } from '../lib/qll/bb84/session/bb84-session.ts'
import { type BenchOptions, interleave, median, type Report } from './report.ts'

const BLOCK_BITS = 2 ** 20

/** Sifted bits of a block in the whole pipeline: the longer, the more key is left of each bit. */
const PIPELINE_BITS = 2 ** 21

/**
 * The post-processing of a BB84 link. Megabits are 10^6 bits, seconds are of processor time. In the pipeline both ends are
 * in this process; the photons are drawn before the clock starts.
 */
export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const rounds = quick ? 3 : 15
  await amplification(report, rounds)
  authentication(report, rounds)
  for (const errorRate of [0.01, 0.03, 0.05]) correction(report, { errorRate, rounds: quick ? 1 : 6 })
  await pipeline(report, { preset: 'li-2023', lengthKm: 10, blocks: quick ? 3 : 12 })
  await pipeline(report, { preset: 'yuan-2018', lengthKm: 10, blocks: quick ? 3 : 12 })
  await pipeline(report, { preset: 't12', lengthKm: 35, blocks: quick ? 3 : 12 })
}

/** Processor time of this process that `work` takes, in milliseconds: other work on the machine does not count. */
function usedMs(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e3
}

/** Against the same hash by the engine's whole numbers, which key bits must not enter: they could not be overwritten. */
async function amplification(report: Report, rounds: number): Promise<void> {
  const outputBytes = 50_000
  const words = new Uint32Array(BLOCK_BITS / 32)
  systemRandom(new Uint8Array(words.buffer))
  const seed = new Uint8Array(multiplyShiftSeedBytes(words.length, outputBytes))
  systemRandom(seed)
  const hash = new MultiplyShift()
  const hex = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  const rate = (work: () => unknown) => async () => BLOCK_BITS / usedMs(work) / 1e3
  const { a, b, ratio } = await interleave(rounds, {
    a: rate(() => hash.hash(words, seed, outputBytes)),
    b: rate(() => {
      const factor = hex(seed.subarray(0, words.byteLength + outputBytes))
      const product = factor * hex(new Uint8Array(words.buffer)) + hex(seed.subarray(words.byteLength + outputBytes))
      return (BigInt.asUintN(BLOCK_BITS + 8 * outputBytes, product) >> BigInt(BLOCK_BITS)).toString(16)
    }),
  })
  const metric = 'privacy amplification, blocks of 1 Mb'
  report({ metric, value: median(a), unit: 'Mb/s', baseline: median(b), ratio, samples: rounds })
}

/** One tag over a megabyte. */
function authentication(report: Report, rounds: number): void {
  const message = new Uint8Array(2 ** 20)
  const point = new Uint8Array(16).fill(7)
  const rates = Array.from({ length: rounds }, () => {
    return message.byteLength / usedMs(() => new RunningPoly1305(point).update(message).finish(point)) / 1e3
  })
  report({ metric: 'authentication', value: median(rates), unit: 'MB/s', samples: rounds })
}

/** One end of error correction: 16 frames of 65,536 bits in step. */
function correction(report: Report, { errorRate, rounds }: { errorRate: number; rounds: number }): void {
  const random = SeededRandom.of(1)
  const frames = 16
  const rates: number[] = []
  const efficiencies: number[] = []
  let messages = 0
  for (let i = 0; i < rounds; i++) {
    const words = new Uint32Array(cascadeWords(BLOCK_BITS, frames))
    let errors = 0
    for (let at = 0; at < BLOCK_BITS; at++) {
      if (random.uniform() >= errorRate) continue
      words[at >>> 5]! |= 1 << (at & 31)
      errors++
    }
    const seed = new Uint8Array(16)
    random.fill(seed)
    const batch = new CascadeBatch(words, { sizeBits: BLOCK_BITS, frames, errorRate, seed, corrects: true })
    const ms = usedMs(() => {
      for (let round = batch.next(); round !== undefined; round = batch.next())
        batch.accept(new Uint8Array(round.length))
    })
    rates.push(BLOCK_BITS / ms / 1e3)
    efficiencies.push(batch.disclosedBits / (BLOCK_BITS * binaryEntropy(errors / BLOCK_BITS)))
    messages = batch.rounds
  }
  const at = `error correction at ${errorRate * 100} %`
  report({ metric: `${at}, one end`, value: median(rates), unit: 'Mb/s', samples: rounds })
  report({ metric: `${at}, efficiency`, value: median(efficiencies), unit: '', samples: rounds })
  report({ metric: `${at}, messages a Mb`, value: messages, unit: '' })
}

/** Both ends over a channel in memory, on one core. */
async function pipeline(
  report: Report,
  { preset, lengthKm, blocks }: { preset: Bb84PresetName; lengthKm: number; blocks: number },
): Promise<void> {
  const { receiver, protocol } = BB84_PRESETS[preset]
  const channel = new ChannelModel(receiver, { lengthKm })
  const photons = new PhotonChannel({ channel, protocol })
  const pulses = Math.round(pulsesFor(channel, protocol, PIPELINE_BITS))
  const sent = { alice: [] as PulseRecords[], bob: [] as PulseRecords[] }
  const source = (side: 'alice' | 'bob'): RecordSource => ({ next: async () => sent[side].shift()! })
  const psk = new Uint8Array(4096)
  systemRandom(psk)
  const ends = createMemoryChannelPair(['alice', 'bob'])
  const open = (role: 'alice' | 'bob') =>
    Bb84Session.open(ends[role === 'alice' ? 0 : 1], {
      role,
      parameters: { protocol },
      records: source(role),
      authenticator: new WegmanCarter(SecretKey.copyOf(psk), { role: role === 'alice' ? 'initiator' : 'responder' }),
    })
  const [alice, bob] = await Promise.all([open('alice'), open('bob')])
  let [secretBits, siftedBits, cpuMs] = [0, 0, 0]
  for (let i = -2; i < blocks; i++) {
    const { prepared, detected } = photons.transmit(pulses)
    sent.alice.push(prepared)
    sent.bob.push(detected)
    const before = process.cpuUsage()
    const [{ report: block, secrets }, other] = await Promise.all([alice.nextBlock(), bob.nextBlock()])
    const used = process.cpuUsage(before)
    for (const { secret } of [...secrets, ...other.secrets]) secret.wipe()
    // The first two blocks warm the compiler up.
    if (i < 0) continue
    secretBits += block.secretBits - block.authenticationBits
    siftedBits += block.siftedBits
    cpuMs += (used.user + used.system) / 1e3
  }
  for (const end of [alice, bob]) end.close()
  await Promise.all(ends.map(end => end.close()))
  const at = `${preset}, ${lengthKm} km, blocks of 2 Mb`
  const perSecond = (bits: number, ms: number) => bits / ms / 1e3
  report({
    metric: `${at}: secret key, both ends on a core`,
    value: perSecond(secretBits, cpuMs),
    unit: 'Mb/s',
    samples: blocks,
  })
  report({
    metric: `${at}: secret key a core and end`,
    value: perSecond(secretBits, cpuMs / 2),
    unit: 'Mb/s',
    samples: blocks,
  })
  report({
    metric: `${at}: sifted bits, both ends on a core`,
    value: perSecond(siftedBits, cpuMs),
    unit: 'Mb/s',
    samples: blocks,
  })
}
