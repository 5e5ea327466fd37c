import { InvalidArgumentError } from '../../../errors.ts'

/** What the fibre and Bob's receiver do to a pulse. All probabilities are per pulse, that is per detector gate. */
export interface ReceiverParameters {
  /** Pulses a second. */
  readonly clockHz: number
  /** Attenuation of the fibre, in dB per km. */
  readonly fibreLossDbPerKm: number
  /** Probability that a photon at Bob's door makes a click: optics and detectors together. */
  readonly receiverEfficiency: number
  /** Probability of a click without a photon (Y0): dark counts and stray light of both detectors. */
  readonly backgroundYield: number
  /** Probability that a signal photon clicks in the wrong detector (e_d). */
  readonly misalignment: number
  /** Clicks that follow a click without a photon, as a share of all clicks. Default 0. */
  readonly afterPulse?: number
  /** Time in which the receiver is blind after a click, in nanoseconds. Default 0. */
  readonly deadTimeNs?: number
}

/** The span that the pulses cross, and who sits on it. Give the length or the loss. */
export interface Span {
  readonly lengthKm?: number
  /** Loss between the two sites in dB, instead of a length. */
  readonly lossDb?: number
  /** Clicks per gate that classical channels in the same fibre cause (see raman.ts). Default 0. */
  readonly ramanYield?: number
  /** Clicks per gate that light of the sky causes (see free-space/sky.ts). Default 0. */
  readonly skyYield?: number
  /** How the loss changes faster than a block lasts, as air makes it. Default: it does not. */
  readonly fading?: Fading
  /** Share of the pulses that an eavesdropper measures in a random basis and sends on, 0 to 1. Default 0. */
  readonly interceptFraction?: number
}

/** Levels that the transmittance of a span takes, as multiples of its mean; the shares add up to 1, and the mean is 1. */
export type Fading = readonly { readonly share: number; readonly factor: number }[]

/** Error rate of a click that no signal photon caused: the two detectors are alike. */
export const BACKGROUND_ERROR = 0.5

/**
 * The click statistics of one receiver behind one span (network specification, section 3.1): a pulse of mean photon
 * number `intensity` clicks with probability `gain(intensity)`, and wrongly with `errorGain(intensity)`. Both are free of
 * dead time, which thins all clicks alike: `liveFraction` says how many remain at a rate of clicks.
 */
export class ChannelModel {
  /** Probability that a photon that leaves Alice makes a click (η). */
  readonly transmittance: number
  readonly backgroundYield: number
  /** Error rate of clicks by signal photons, the eavesdropper's share included. */
  readonly misalignment: number
  readonly afterPulse: number
  readonly clockHz: number
  readonly deadTimeNs: number
  readonly #fading: Fading

  constructor(receiver: ReceiverParameters, span: Span) {
    const intercepted = span.interceptFraction ?? 0
    requireFraction('interceptFraction', intercepted)
    requireFraction('receiverEfficiency', receiver.receiverEfficiency)
    const lossDb = span.lossDb ?? receiver.fibreLossDbPerKm * (span.lengthKm ?? 0)
    if (!(lossDb >= 0)) throw new InvalidArgumentError('The loss of a span must be 0 dB or more')
    this.transmittance = 10 ** (-lossDb / 10) * receiver.receiverEfficiency
    this.backgroundYield = receiver.backgroundYield + (span.ramanYield ?? 0) + (span.skyYield ?? 0)
    // Eve's basis is wrong half of the time, and then her photon is in error half of the time.
    const resent = 0.25 + receiver.misalignment / 2
    this.misalignment = (1 - intercepted) * receiver.misalignment + intercepted * resent
    this.afterPulse = receiver.afterPulse ?? 0
    this.clockHz = receiver.clockHz
    this.deadTimeNs = receiver.deadTimeNs ?? 0
    this.#fading = span.fading ?? STEADY
    requireFading(this.#fading)
  }

  /** Probability that a pulse of that mean photon number makes a click (Q). */
  gain(intensity: number): number {
    return this.#clicks(intensity) * (1 + this.afterPulse)
  }

  /** Probability of a click in the wrong detector (E·Q); an after-pulse is wrong half of the time. */
  errorGain(intensity: number): number {
    const signal = this.misalignment * this.#signalClicks(intensity)
    return BACKGROUND_ERROR * (this.backgroundYield + this.afterPulse * this.#clicks(intensity)) + signal
  }

  /** Error rate of the clicks of pulses of that mean photon number (E). */
  qber(intensity: number): number {
    return this.errorGain(intensity) / this.gain(intensity)
  }

  /** Share of the clicks that find the receiver ready when it would click `gain` times a pulse without dead time. */
  liveFraction(gain: number): number {
    return 1 / (1 + gain * this.clockHz * this.deadTimeNs * 1e-9)
  }

  #clicks(intensity: number): number {
    return this.backgroundYield + this.#signalClicks(intensity)
  }

  /** The mean over the levels of the fading: decoy bounds hold for it, for they are linear in what a channel does. */
  #signalClicks(intensity: number): number {
    let clicks = 0
    for (const { share, factor } of this.#fading) {
      clicks -= share * Math.expm1(-this.transmittance * factor * intensity)
    }
    return clicks
  }
}

const STEADY: Fading = [{ share: 1, factor: 1 }]

function requireFading(fading: Fading): void {
  const total = fading.reduce((sum, { share }) => sum + share, 0)
  const mean = fading.reduce((sum, { share, factor }) => sum + share * factor, 0)
  if (Math.abs(total - 1) < 1e-6 && Math.abs(mean - 1) < 1e-6) return
  throw new InvalidArgumentError('The shares of a fading must add up to 1, and its mean factor must be 1')
}

function requireFraction(name: string, value: number): void {
  if (value >= 0 && value <= 1) return
  throw new InvalidArgumentError(`${name} must be a number from 0 to 1, not ${value}`)
}
