import type { ChannelModel } from './channel-model.ts'
import { expectedBlock, expectedLeakBits, type ProtocolParameters, pulsesFor } from './expected-block.ts'
import { consolidatedKeyLength, type PerIntensity } from './finite-key.ts'
import { optimiseProtocol } from './optimise.ts'

/** How a link plays its blocks, and what it may expect of them. */
export interface BlockPlan {
  readonly protocol: ProtocolParameters
  /** Pulses of a block. */
  readonly pulses: number
  /** Secret bits of a block as expected; 0 where there is no key to be had. */
  readonly secretBits: number
  /** Secret bits a second while pulses are sent, dead time included. */
  readonly rateBps: number
  /** Error rate of the sifted key as expected. */
  readonly qber: number
}

/** What a plan is made for. */
export interface BlockPlanOptions {
  /** Sifted bits of a block. */
  readonly keyBits: number
  /** Distance of the key from a secret one. Default 1e-10. */
  readonly secrecy?: number
  /** Parities disclosed over the Shannon limit. Default 1.05. */
  readonly correctionEfficiency?: number
}

/** Where the search begins: choices for short blocks and for long ones. */
const STARTS: readonly ProtocolParameters[] = [
  { intensities: [0.5, 0.2, 0], probabilities: [0.25, 0.68, 0.07], keyBasisProbability: 0.72 },
  { intensities: [0.55, 0.25, 0], probabilities: [0.6, 0.37, 0.03], keyBasisProbability: 0.84 },
]

/** The intensities and probabilities that give most key per pulse in blocks of that size. */
export function planBlock(channel: ChannelModel, options: BlockPlanOptions): BlockPlan {
  const rate = (protocol: ProtocolParameters) => {
    const { secretBits, pulses, phaseErrorRate, singlePhotonClicks } = expectation(channel, protocol, options)
    // Below the first bit of key, fewer phase errors and more single photons are the way there.
    return secretBits > 0 ? secretBits / pulses : -phaseErrorRate / Math.max(singlePhotonClicks, 1)
  }
  const found = STARTS.map(start => optimiseProtocol(rate, start))
  const { protocol } = found.reduce((best, other) => (other.rate > best.rate ? other : best))
  return evaluateProtocol(channel, rounded(protocol), options)
}

/** What a link may expect of these choices. */
export function evaluateProtocol(
  channel: ChannelModel,
  protocol: ProtocolParameters,
  options: BlockPlanOptions,
): BlockPlan {
  const { secretBits, pulses, qber } = expectation(channel, protocol, options)
  return { protocol, pulses, secretBits, rateBps: (secretBits * channel.clockHz) / pulses, qber }
}

function expectation(
  channel: ChannelModel,
  protocol: ProtocolParameters,
  { keyBits, secrecy = 1e-10, correctionEfficiency = 1.05 }: BlockPlanOptions,
) {
  const pulses = Math.ceil(pulsesFor(channel, protocol, keyBits))
  const block = expectedBlock(channel, protocol, pulses)
  const leakedBits = expectedLeakBits(keyBits, block.qber, correctionEfficiency)
  const bounds = consolidatedKeyLength(block, leakedBits, { secrecy, correctness: 1 })
  return { ...bounds, pulses, qber: block.qber }
}

/** Three digits are all that the optimum needs, and easier to read and to agree on. */
function rounded({ intensities, probabilities, keyBasisProbability }: ProtocolParameters): ProtocolParameters {
  const three = (value: number) => Number(value.toFixed(3))
  const [signal, decoy] = [three(probabilities[0]), three(probabilities[1])]
  return {
    intensities: intensities.map(three) as unknown as PerIntensity,
    probabilities: [signal, decoy, three(1 - signal - decoy)],
    keyBasisProbability: three(keyBasisProbability),
  }
}
