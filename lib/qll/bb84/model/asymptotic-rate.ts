import { BACKGROUND_ERROR, type ChannelModel } from './channel-model.ts'
import { binaryEntropy } from './entropy.ts'

/** The intensities and factors that turn click statistics into a key rate. */
export interface SourceParameters {
  /** Mean photon number of the pulses that carry key (µ). */
  readonly signalIntensity: number
  /** Mean photon number of the weak decoy (ν), below µ; the second decoy is the vacuum. */
  readonly decoyIntensity: number
  /** Share of the clicks whose bases agree and become key (q). */
  readonly siftingFactor: number
  /** Parities disclosed over the Shannon limit, 1 or more (f). */
  readonly correctionEfficiency: number
}

/** What is known about the single photons among the clicks. */
export interface SinglePhotonEstimate {
  /** Probability that a pulse of exactly one photon clicks (Y1). */
  readonly yield: number
  /** Error rate of those clicks (e1). */
  readonly errorRate: number
}

/** Single photons as infinitely many decoys would show them: the true values of the model. */
export function exactSinglePhotons(channel: ChannelModel): SinglePhotonEstimate {
  const { transmittance: eta, backgroundYield: y0, misalignment, afterPulse } = channel
  const clicks = y0 + eta
  const errors = BACKGROUND_ERROR * (y0 + afterPulse * clicks) + misalignment * eta
  return { yield: clicks * (1 + afterPulse), errorRate: errors / (clicks * (1 + afterPulse)) }
}

/**
 * Bounds on the single photons from a vacuum and a weak decoy (Ma, Qi, Zhao and Lo, Phys. Rev. A 72, 012326 (2005)): the
 * yield from below, the error rate from above.
 */
export function vacuumWeakBounds(
  channel: ChannelModel,
  { signalIntensity: mu, decoyIntensity: nu }: Pick<SourceParameters, 'signalIntensity' | 'decoyIntensity'>,
): SinglePhotonEstimate {
  const y0 = channel.gain(0)
  const weak = channel.gain(nu) * Math.exp(nu)
  const signal = channel.gain(mu) * Math.exp(mu)
  const ratio = (nu * nu) / (mu * mu)
  const bound = (mu / (mu * nu - nu * nu)) * (weak - signal * ratio - (1 - ratio) * y0)
  const errors = channel.errorGain(nu) * Math.exp(nu) - BACKGROUND_ERROR * y0
  return { yield: Math.max(bound, 0), errorRate: bound > 0 ? errors / (bound * nu) : BACKGROUND_ERROR }
}

/** Secret bits per pulse in the limit of long keys (GLLP with decoys); negative where no key is left. */
export function asymptoticRate(channel: ChannelModel, source: SourceParameters, single: SinglePhotonEstimate): number {
  const { signalIntensity: mu, siftingFactor, correctionEfficiency } = source
  const disclosed = channel.gain(mu) * correctionEfficiency * binaryEntropy(channel.qber(mu))
  const secret = single.yield * mu * Math.exp(-mu) * (1 - binaryEntropy(Math.min(single.errorRate, 0.5)))
  return siftingFactor * (secret - disclosed)
}

/** Secret bits a second in the limit of long keys with vacuum and weak decoy, dead time included; 0 without key. */
export function asymptoticRateBps(channel: ChannelModel, source: SourceParameters): number {
  const perPulse = asymptoticRate(channel, source, vacuumWeakBounds(channel, source))
  return Math.max(perPulse, 0) * channel.clockHz * channel.liveFraction(channel.gain(source.signalIntensity))
}

/** The length in km, to `toleranceKm`, beyond which `rateAt` is not positive; the rate must fall with the length. */
export function maximumLengthKm(rateAt: (lengthKm: number) => number, toleranceKm = 1e-3): number {
  if (rateAt(0) <= 0) return 0
  let [near, far] = [0, 1]
  while (rateAt(far) > 0 && far < 1e5) [near, far] = [far, far * 2]
  while (far - near > toleranceKm) {
    const middle = (near + far) / 2
    if (rateAt(middle) > 0) near = middle
    else far = middle
  }
  return near
}
