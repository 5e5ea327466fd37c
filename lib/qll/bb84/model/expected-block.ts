import type { ChannelModel } from './channel-model.ts'
import { binaryEntropy } from './entropy.ts'
import type { BlockCounts, PerIntensity } from './finite-key.ts'

/** The random choices of the two sides: which intensity, which basis. */
export interface ProtocolParameters {
  /** Mean photon numbers of signal, weak decoy and vacuum, descending. */
  readonly intensities: PerIntensity
  /** How often Alice sends each; they add up to 1. */
  readonly probabilities: PerIntensity
  /** Probability, at either side, of the basis that key is made from; the other one finds the phase errors. */
  readonly keyBasisProbability: number
}

/** A block as the model expects it: counts are means, not draws. */
export interface ExpectedBlock extends BlockCounts {
  /** Wrong bits of the sifted key, by intensity. */
  readonly keyErrors: PerIntensity
  /** Error rate of the sifted key. */
  readonly qber: number
}

/** Clicks per pulse over all intensities, dead time included. */
export function clicksPerPulse(channel: ChannelModel, protocol: ProtocolParameters): number {
  const free = rawClicks(channel, protocol)
  return free * channel.liveFraction(free)
}

/** What `pulses` pulses are expected to leave on the two sides after sifting. */
export function expectedBlock(channel: ChannelModel, protocol: ProtocolParameters, pulses: number): ExpectedBlock {
  const live = channel.liveFraction(rawClicks(channel, protocol)) * pulses
  const key = live * protocol.keyBasisProbability ** 2
  const check = live * (1 - protocol.keyBasisProbability) ** 2
  const gains = perIntensity(protocol, k => channel.gain(k))
  const errors = perIntensity(protocol, k => channel.errorGain(k))
  const total = (values: PerIntensity) => values[0] + values[1] + values[2]
  return {
    intensities: protocol.intensities,
    probabilities: protocol.probabilities,
    keyCounts: scaled(gains, key),
    checkCounts: scaled(gains, check),
    checkErrors: scaled(errors, check),
    keyErrors: scaled(errors, key),
    qber: total(errors) / total(gains),
  }
}

/** Pulses after which the sifted key is expected to hold `keyBits` bits. */
export function pulsesFor(channel: ChannelModel, protocol: ProtocolParameters, keyBits: number): number {
  return keyBits / (clicksPerPulse(channel, protocol) * protocol.keyBasisProbability ** 2)
}

/** Parities that error correction of `bits` bits at that error rate is expected to disclose. */
export function expectedLeakBits(bits: number, qber: number, correctionEfficiency: number): number {
  return bits * correctionEfficiency * binaryEntropy(qber)
}

function rawClicks(channel: ChannelModel, protocol: ProtocolParameters): number {
  return perIntensity(protocol, k => channel.gain(k)).reduce((total, value) => total + value, 0)
}

function perIntensity(protocol: ProtocolParameters, value: (intensity: number) => number): PerIntensity {
  const at = (k: 0 | 1 | 2) => protocol.probabilities[k] * value(protocol.intensities[k])
  return [at(0), at(1), at(2)]
}

function scaled([a, b, c]: PerIntensity, factor: number): PerIntensity {
  return [a * factor, b * factor, c * factor]
}
