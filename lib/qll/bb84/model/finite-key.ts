import { InvalidArgumentError } from '../../../errors.ts'
import { meanBounds } from './concentration.ts'
import { binaryEntropy } from './entropy.ts'

/** A number for each of the three intensities: signal, weak decoy, vacuum (or weakest). */
export type PerIntensity = readonly [signal: number, decoy: number, vacuum: number]

/** What the two sides counted in one block, and what they sent. Counts may be fractions when they are expectations. */
export interface BlockCounts {
  /** Mean photon numbers, descending; the second and third must add up to less than the first. */
  readonly intensities: PerIntensity
  /** Probabilities with which Alice chose them. */
  readonly probabilities: PerIntensity
  /** Bits of the sifted key, by intensity. */
  readonly keyCounts: PerIntensity
  /** Clicks in the check basis, by intensity. */
  readonly checkCounts: PerIntensity
  /** Wrong ones among `checkCounts`. */
  readonly checkErrors: PerIntensity
}

/** How wrong a key may be. */
export interface Epsilons {
  /** Distance of the key from a secret one. */
  readonly secrecy: number
  /** Probability that the two sides hold different keys. */
  readonly correctness: number
}

/** What the bounds say about a block. */
export interface FiniteKeyEstimate {
  /** At most so many secret bits; 0 where no key is left. */
  readonly secretBits: number
  /** Clicks of empty pulses in the sifted key, at least. Always 0 where the proof makes no use of them. */
  readonly vacuumClicks: number
  /** Clicks of single photons in the sifted key, at least. */
  readonly singlePhotonClicks: number
  /** Phase error rate of those, at most. */
  readonly phaseErrorRate: number
}

/**
 * Key length of a block by Lim, Curty, Walenta, Xu and Zbinden, Phys. Rev. A 89, 022307 (2014), eq. 1 to 5: what most
 * published rates were computed with. Later work found gaps in it; `consolidatedKeyLength` is what the link uses.
 */
export function limKeyLength(counts: BlockCounts, leakedBits: number, epsilons: Epsilons): FiniteKeyEstimate {
  const epsilon = epsilons.secrecy / 21
  const bounds = (seen: PerIntensity, at: 0 | 1 | 2): Interval => {
    const deviation = Math.sqrt((sum(seen) / 2) * Math.log(1 / epsilon))
    return { lower: Math.max(seen[at] - deviation, 0), upper: Math.min(seen[at] + deviation, sum(seen)) }
  }
  const key = photonNumbers(counts, counts.keyCounts, bounds)
  const check = photonNumbers(counts, counts.checkCounts, bounds)
  const ratio = singlePhotonErrorRate(counts, check.single, bounds)
  const phase = Math.min(ratio + fungDeviation(ratio, key.single, check.single, epsilon), 0.5)
  const overhead = 6 * Math.log2(1 / epsilon) + Math.log2(2 / epsilons.correctness)
  return estimate(key.vacuum, key.single, phase, leakedBits + overhead)
}

/**
 * Key length of a block of fixed pulses, as long as what was seen allows, in the manner of the proof that consolidates
 * the earlier ones (Wiesemann et al., arXiv 2405.16578): only single photons count as secret, every bound is clipped to
 * what was counted, and ε is split evenly over
 *
 * - 12 bounds that may fail: five on the single photons of each basis, two on their errors in the check basis;
 * - twice the smoothing that stands for the sampling of the phase error, which may fail with its square;
 * - privacy amplification, by the leftover hash lemma.
 *
 * All bounds are Hoeffding's in the sharp form, on clicks and on sampling. `leakedBits` holds all that the two sides said
 * about the key; with the verification tag in it, set `correctness` to 1.
 */
export function consolidatedKeyLength(counts: BlockCounts, leakedBits: number, epsilons: Epsilons): FiniteKeyEstimate {
  const epsilon = epsilons.secrecy / 15
  const bounds = (seen: PerIntensity, at: 0 | 1 | 2): Interval => meanBounds(seen[at], sum(seen), epsilon)
  const key = photonNumbers(counts, counts.keyCounts, bounds)
  const check = photonNumbers(counts, counts.checkCounts, bounds)
  const ratio = singlePhotonErrorRate(counts, check.single, bounds)
  const phase = Math.min(rateOfRest(ratio, key.single, { sample: check.single, epsilon: epsilon ** 2 }), 0.5)
  const overhead = 2 * Math.log2(1 / (2 * epsilon)) + Math.log2(1 / epsilons.correctness)
  return estimate(0, key.single, phase, leakedBits + overhead)
}

/**
 * How far the error rate of `rest` bits lies above that of `sample` bits drawn from the same lot without replacement,
 * but for a probability of `epsilon`² (Serfling; Tomamichel et al., Nat. Commun. 3, 634 (2012)).
 */
export function serflingDeviation(rest: number, sample: number, epsilon: number): number {
  if (rest < 1 || sample < 1) return 0.5
  return Math.sqrt(((rest + sample) / (rest * sample)) * ((sample + 1) / sample) * Math.log(1 / epsilon))
}

/** Highest error rate of `rest` bits when a sample of the same lot shows `rate`, but for a probability of `epsilon`. */
function rateOfRest(rate: number, rest: number, { sample, epsilon }: { sample: number; epsilon: number }): number {
  if (rest < 1 || sample < 1) return 0.5
  const lot = meanBounds(rate * sample, sample, epsilon).upper / sample
  return lot + ((lot - rate) * sample) / rest
}

/** The deviation by Fung, Ma and Chau's estimate, which Lim et al. use. */
function fungDeviation(rate: number, rest: number, sample: number, epsilon: number): number {
  if (rest < 1 || sample < 1 || rate >= 0.5) return 0.5
  // With no error seen the estimate's own variance vanishes: half an error stands in.
  const b = Math.max(rate, 0.5 / sample)
  const scale = (rest + sample) / (rest * sample * (1 - b) * b)
  return Math.sqrt(((scale * (1 - b) ** 2 * b ** 2) / Math.LN2) * Math.log2(scale / epsilon ** 2))
}

interface Interval {
  readonly lower: number
  readonly upper: number
}

/** What the clicks of one intensity (0 signal, 1 decoy, 2 vacuum) among `seen` were to be expected as. */
type Bounds = (seen: PerIntensity, at: 0 | 1 | 2) => Interval

/** Least numbers of clicks of empty and of single-photon pulses among `clicks`. */
function photonNumbers(counts: BlockCounts, clicks: PerIntensity, bounds: Bounds) {
  const { intensities, probabilities } = counts
  const [mu1, mu2, mu3] = intensities
  if (!(mu1 > mu2 + mu3 && mu2 > mu3 && mu3 >= 0)) {
    throw new InvalidArgumentError('The intensities must descend, and the signal must exceed both decoys together')
  }
  const total = sum(clicks)
  const scale = (k: 0 | 1 | 2) => Math.exp(intensities[k]) / probabilities[k]
  const [signal, decoy, vacuum] = ([0, 1, 2] as const).map(k => {
    const { lower, upper } = bounds(clicks, k)
    return { lower: scale(k) * lower, upper: scale(k) * upper }
  }) as [Interval, Interval, Interval]
  const [tau0, tau1] = [photonNumberProbability(counts, 0), photonNumberProbability(counts, 1)]
  const empty = clamp((tau0 * (mu2 * vacuum.lower - mu3 * decoy.upper)) / (mu2 - mu3), 0, total)
  const surplus = decoy.lower - vacuum.upper - ((mu2 ** 2 - mu3 ** 2) / mu1 ** 2) * (signal.upper - empty / tau0)
  const single = (tau1 * mu1 * surplus) / (mu1 * (mu2 - mu3) - mu2 ** 2 + mu3 ** 2)
  return { vacuum: empty, single: clamp(single, 0, total) }
}

/** Highest error rate that at least `single` single photons of the check basis can have. */
function singlePhotonErrorRate(counts: BlockCounts, single: number, bounds: Bounds): number {
  if (single < 1) return 0.5
  const { intensities, probabilities, checkErrors } = counts
  const decoy = (Math.exp(intensities[1]) / probabilities[1]) * bounds(checkErrors, 1).upper
  const vacuum = (Math.exp(intensities[2]) / probabilities[2]) * bounds(checkErrors, 2).lower
  const errors = (photonNumberProbability(counts, 1) * (decoy - vacuum)) / (intensities[1] - intensities[2])
  return clamp(errors / single, 0, 0.5)
}

/** Probability that a pulse of Alice's holds exactly `photons` (0 or 1) photons (τ). */
function photonNumberProbability({ intensities, probabilities }: BlockCounts, photons: 0 | 1): number {
  return sum(intensities.map((k, at) => probabilities[at]! * Math.exp(-k) * k ** photons))
}

function estimate(vacuum: number, single: number, phase: number, spentBits: number): FiniteKeyEstimate {
  const secretBits = vacuum + single * (1 - binaryEntropy(phase)) - spentBits
  return {
    secretBits: Math.max(Math.floor(secretBits), 0),
    vacuumClicks: vacuum,
    singlePhotonClicks: single,
    phaseErrorRate: phase,
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high)
}
