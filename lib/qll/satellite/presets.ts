import type { ReceiverParameters } from '../bb84/model/channel-model.ts'
import type { ProtocolParameters } from '../bb84/model/expected-block.ts'
import type { SatelliteParameters } from './satellite-channel.ts'

/** A satellite and its station. */
export interface SatellitePreset {
  /** Where the numbers come from, and which of them are typical values. */
  readonly source: string
  readonly receiver: ReceiverParameters
  readonly satellite: SatelliteParameters
  /** Choices of the two sides for blocks of about 262,144 sifted bits. */
  readonly protocol: ProtocolParameters
}

const PROTOCOL: ProtocolParameters = {
  intensities: [0.542, 0.24, 0],
  probabilities: [0.3, 0.652, 0.048],
  keyBasisProbability: 0.776,
}

/** All satellite presets by name. */
export const SATELLITE_PRESETS = {
  'leo-2017': {
    source:
      'modelled on Liao et al., Nature 549, 43 (2017): 100 MHz at about 850 nm from 500 km, a beam of about 10 µrad, a telescope of 1 m on the ground; losses of air and receiver, pointing and background are typical values',
    receiver: {
      clockHz: 1e8,
      fibreLossDbPerKm: 0,
      receiverEfficiency: 0.08,
      backgroundYield: 5e-7,
      misalignment: 0.01,
    },
    satellite: {
      altitudeKm: 500,
      minimumElevationDeg: 15,
      wavelengthNm: 850,
      zenithLossDb: 3,
      sky: 'moonless night',
      fieldOfViewUrad: 100,
      filterNm: 1,
      gatePs: 2000,
      waistM: 0.075,
      divergenceUrad: 6,
      apertureM: 1,
      jitterUrad: 1.2,
    },
    protocol: PROTOCOL,
  },
  'leo-fast': {
    source: 'as leo-2017 with a clock of 1 GHz and detectors of twice the efficiency: a model of what is being built',
    receiver: {
      clockHz: 1e9,
      fibreLossDbPerKm: 0,
      receiverEfficiency: 0.16,
      backgroundYield: 2e-7,
      misalignment: 0.01,
    },
    satellite: {
      altitudeKm: 500,
      minimumElevationDeg: 15,
      wavelengthNm: 850,
      zenithLossDb: 3,
      sky: 'moonless night',
      fieldOfViewUrad: 50,
      filterNm: 1,
      gatePs: 500,
      waistM: 0.075,
      divergenceUrad: 6,
      apertureM: 1,
      jitterUrad: 1,
    },
    protocol: PROTOCOL,
  },
} as const satisfies Record<string, SatellitePreset>
