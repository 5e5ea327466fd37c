import { InvalidArgumentError } from '../../../errors.ts'
import type { SourceParameters } from './asymptotic-rate.ts'
import type { ReceiverParameters } from './channel-model.ts'
import type { ProtocolParameters } from './expected-block.ts'

/** A published system, or a model of one. */
export interface Bb84Preset {
  /** Where the numbers come from, and which of them were fitted. */
  readonly source: string
  readonly receiver: ReceiverParameters
  /** For rates in the limit of long keys, as they are published. */
  readonly asymptotic: SourceParameters
  /** Choices of the two sides for blocks of about a million sifted bits: near the optimum of `consolidatedKeyLength`. */
  readonly protocol: ProtocolParameters
}

/** All presets by name, as `--preset` takes them. */
export const BB84_PRESETS = {
  gys: {
    source:
      'Gobby, Yuan and Shields, Appl. Phys. Lett. 84, 3762 (2004), with the decoy intensities of Ma, Qi, Zhao and Lo, Phys. Rev. A 72, 012326 (2005)',
    receiver: {
      clockHz: 2e6,
      fibreLossDbPerKm: 0.21,
      receiverEfficiency: 0.045,
      backgroundYield: 1.7e-6,
      misalignment: 0.033,
    },
    asymptotic: { signalIntensity: 0.48, decoyIntensity: 0.05, siftingFactor: 0.5, correctionEfficiency: 1.22 },
    protocol: { intensities: [0.4, 0.18, 0], probabilities: [0.28, 0.685, 0.035], keyBasisProbability: 0.8 },
  },
  t12: {
    source:
      'Lucamarini et al., Opt. Express 21, 24550 (2013): 2.20, 1.09, 0.40 and 0.12 Mb/s at 7, 10, 13 and 16 dB; efficiency, background and misalignment fitted to these four',
    receiver: {
      clockHz: 1e9,
      fibreLossDbPerKm: 0.2,
      receiverEfficiency: 0.0661,
      backgroundYield: 6.13e-5,
      misalignment: 0.0098,
    },
    asymptotic: { signalIntensity: 0.425, decoyIntensity: 0.044, siftingFactor: 0.88, correctionEfficiency: 1.15 },
    protocol: { intensities: [0.545, 0.26, 0], probabilities: [0.45, 0.5, 0.05], keyBasisProbability: 0.8 },
  },
  'yuan-2018': {
    source:
      'Yuan et al., J. Lightwave Technol. 36, 3427 (2018): 13.72 Mb/s over 2 dB (10 km); receiver efficiency fitted to it, the rest as t12',
    receiver: {
      clockHz: 1e9,
      fibreLossDbPerKm: 0.2,
      receiverEfficiency: 0.1175,
      backgroundYield: 6.13e-5,
      misalignment: 0.0098,
    },
    asymptotic: { signalIntensity: 0.425, decoyIntensity: 0.044, siftingFactor: 0.88, correctionEfficiency: 1.15 },
    protocol: { intensities: [0.555, 0.25, 0], probabilities: [0.5, 0.465, 0.035], keyBasisProbability: 0.825 },
  },
  'li-2023': {
    source:
      'Li et al., Nat. Photonics 17, 416 (2023): 2.5 GHz and 115.8 Mb/s over 10 km; receiver efficiency fitted to it, background and misalignment typical of superconducting detectors',
    receiver: {
      clockHz: 2.5e9,
      fibreLossDbPerKm: 0.2,
      receiverEfficiency: 0.315,
      backgroundYield: 1e-6,
      misalignment: 0.004,
    },
    asymptotic: { signalIntensity: 0.5, decoyIntensity: 0.1, siftingFactor: 0.88, correctionEfficiency: 1.06 },
    protocol: { intensities: [0.6, 0.25, 0], probabilities: [0.57, 0.4, 0.03], keyBasisProbability: 0.84 },
  },
} as const satisfies Record<string, Bb84Preset>

export type Bb84PresetName = keyof typeof BB84_PRESETS

/** The preset of that name. @throws {InvalidArgumentError} with the names that there are */
export function bb84Preset(name: string): Bb84Preset {
  if (Object.hasOwn(BB84_PRESETS, name)) return BB84_PRESETS[name as Bb84PresetName]
  throw new InvalidArgumentError(
    `There is no preset "${name}"; choose one of ${Object.keys(BB84_PRESETS).join(', ')}`,
    { details: [{ parameter_name: 'preset', parameter_value: name, allowed_values: Object.keys(BB84_PRESETS) }] },
  )
}
