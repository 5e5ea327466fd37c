import type { ChannelModel } from '../model/channel-model.ts'
import type { ProtocolParameters } from '../model/expected-block.ts'
import { clicksPerPulse } from '../model/expected-block.ts'
import { type RandomFill, SeededRandom, systemRandom } from '../random.ts'
import { binomial } from './binomial.ts'
import { type PulseRecords, STATE_BIT, STATE_CHECK_BASIS, STATE_INTENSITY_SHIFT } from './records.ts'

/** Both sides' records of one block. */
export interface PhotonBlock {
  readonly prepared: PulseRecords
  readonly detected: PulseRecords
}

/** What the light passes through, and what the two sides do. */
export interface PhotonChannelOptions {
  readonly channel: ChannelModel
  readonly protocol: ProtocolParameters
  /** Where bits and dice come from. Default: the system's generator. */
  readonly random?: RandomFill
}

/** Clicks of one kind: same intensity, same two bases, right or wrong. */
interface ClickClass {
  readonly prepared: number
  readonly detected: number
  /** Whether Bob's bit differs from Alice's; undefined where the bases differ and it is a coin's. */
  readonly wrong: boolean | undefined
  readonly chance: number
}

/**
 * Source, fibre and detectors, with the eavesdropper if the model has one. How many pulses of each class click is drawn
 * binomially; only the clicks are then given times and bits. It is the one part of the link that is simulated: what it
 * hands to Bob is what his detectors would.
 */
export class PhotonChannel {
  readonly #channel: ChannelModel
  readonly #protocol: ProtocolParameters
  readonly #random: RandomFill
  readonly #dice: SeededRandom
  #blocks = 0n

  constructor({ channel, protocol, random = systemRandom }: PhotonChannelOptions) {
    this.#channel = channel
    this.#protocol = protocol
    this.#random = random
    const seed = new Uint8Array(16)
    random(seed)
    this.#dice = new SeededRandom(seed)
  }

  /**
   * Sends `pulses` pulses, through `channel` where the path is another one than at first. The caller owns and wipes the
   * records.
   */
  transmit(pulses: number, channel = this.#channel): PhotonBlock {
    const classes = this.#classes(channel)
    const counts = classes.map(({ chance }) => binomial(this.#dice, pulses, chance))
    const clicks = counts.reduce((total, count) => total + count, 0)
    const order = shuffledClasses(counts, clicks, this.#dice)
    const gaps = gapsOf(clicks, pulses, { deadPulses: deadPulses(channel), dice: this.#dice })
    const [prepared, detected] = [new Uint8Array(clicks), new Uint8Array(clicks)]
    this.#random(prepared)
    for (let i = 0; i < clicks; i++) {
      const { prepared: sent, detected: seen, wrong } = classes[order[i]!]!
      const drawn = prepared[i]!
      const bit = drawn & STATE_BIT
      const read = wrong === undefined ? (drawn >>> 1) & 1 : wrong ? bit ^ 1 : bit
      prepared[i] = sent | bit
      detected[i] = seen | read
    }
    order.fill(0)
    const block = this.#blocks++
    return {
      prepared: { block, pulses, gaps, states: prepared },
      detected: { block, pulses, gaps: gaps.slice(), states: detected },
    }
  }

  #classes(channel: ChannelModel): ClickClass[] {
    const { intensities, probabilities, keyBasisProbability } = this.#protocol
    const free = intensities.reduce((sum, k, at) => sum + probabilities[at]! * channel.gain(k), 0)
    const live = free === 0 ? 0 : clicksPerPulse(channel, this.#protocol) / free
    const bases = [
      { state: 0, chance: keyBasisProbability },
      { state: STATE_CHECK_BASIS, chance: 1 - keyBasisProbability },
    ]
    return intensities.flatMap((intensity, at) =>
      bases.flatMap(alice =>
        bases.flatMap((bob): ClickClass[] => {
          const prepared = alice.state | (at << STATE_INTENSITY_SHIFT)
          const share = probabilities[at]! * alice.chance * bob.chance * live
          const all = share * channel.gain(intensity)
          const wrong = share * channel.errorGain(intensity)
          const common = { prepared, detected: bob.state }
          if (alice.state !== bob.state) return [{ ...common, wrong: undefined, chance: all }]
          return [
            { ...common, wrong: false, chance: all - wrong },
            { ...common, wrong: true, chance: wrong },
          ]
        }),
      ),
    )
  }
}

function deadPulses({ deadTimeNs, clockHz }: ChannelModel): number {
  return Math.round(deadTimeNs * 1e-9 * clockHz)
}

/** The class of each click, in a random order. */
function shuffledClasses(counts: readonly number[], clicks: number, dice: SeededRandom): Uint8Array {
  const order = new Uint8Array(clicks)
  let filled = 0
  for (const [at, count] of counts.entries()) {
    order.fill(at, filled, filled + count)
    filled += count
  }
  for (let i = clicks - 1; i > 0; i--) {
    const j = dice.below(i + 1)
    const other = order[j]!
    order[j] = order[i]!
    order[i] = other
  }
  return order
}

/** Gaps between `clicks` clicks spread evenly at random over the pulses, none closer than the dead time allows. */
function gapsOf(
  clicks: number,
  pulses: number,
  { deadPulses, dice }: { deadPulses: number; dice: SeededRandom },
): Uint32Array {
  // Sums of exponential waits, scaled to the block, are sorted uniform times.
  const times = new Float64Array(clicks + 1)
  let elapsed = 0
  for (let i = 0; i <= clicks; i++) {
    elapsed -= Math.log(1 - dice.uniform())
    times[i] = elapsed
  }
  const least = deadPulses + 1
  const scale = Math.max(pulses - clicks * least, 0) / elapsed
  const gaps = new Uint32Array(clicks)
  let before = 0
  for (let i = 0; i < clicks; i++) {
    const time = Math.floor(times[i]! * scale)
    gaps[i] = time - before + least
    before = time
  }
  return gaps
}
