import type { SourceParameters } from '../bb84/model/asymptotic-rate.ts'
import type { ReceiverParameters } from '../bb84/model/channel-model.ts'
import type { ProtocolParameters } from '../bb84/model/expected-block.ts'
import type { FreeSpaceParameters } from './free-space-channel.ts'

/** Two telescopes and what hangs behind them. */
export interface FreeSpacePreset {
  /** Where the numbers come from. */
  readonly source: string
  readonly receiver: ReceiverParameters
  readonly air: FreeSpaceParameters
  /** For rates in the limit of long keys. */
  readonly asymptotic: SourceParameters
  /** Choices of the two sides for blocks of about 262,144 sifted bits. */
  readonly protocol: ProtocolParameters
}

const receiver: ReceiverParameters = {
  clockHz: 1e9,
  fibreLossDbPerKm: 0,
  receiverEfficiency: 0.1,
  backgroundYield: 2e-7,
  misalignment: 0.01,
}
const air: FreeSpaceParameters = {
  waistM: 0.02,
  divergenceUrad: 25,
  apertureM: 0.1,
  jitterUrad: 5,
  cn2: 1e-14,
  law: 'gamma-gamma',
  wavelengthNm: 1550,
  airLossDbPerKm: 0.5,
  sky: 'moonless night',
  fieldOfViewUrad: 100,
  filterNm: 0.5,
  gatePs: 500,
}
const asymptotic: SourceParameters = {
  signalIntensity: 0.5,
  decoyIntensity: 0.1,
  siftingFactor: 0.88,
  correctionEfficiency: 1.06,
}
const protocol: ProtocolParameters = {
  intensities: [0.58, 0.25, 0],
  probabilities: [0.36, 0.6, 0.04],
  keyBasisProbability: 0.79,
}

/** All free-space presets by name. */
export const FREE_SPACE_PRESETS = {
  'roofs-night': {
    source:
      'a model of a link between roofs at 1550 nm: telescopes of 10 cm, typical values for air, pointing, sky and detectors',
    receiver,
    air,
    asymptotic,
    protocol,
  },
  'roofs-day': {
    source: 'roofs-night under a clear sky by day, through a narrower filter and field of view, in rougher air',
    receiver,
    air: { ...air, sky: 'clear day', cn2: 1e-13, filterNm: 0.2, fieldOfViewUrad: 60 },
    asymptotic,
    protocol,
  },
} as const satisfies Record<string, FreeSpacePreset>
