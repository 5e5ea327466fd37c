import { ChannelModel, type ReceiverParameters } from '../bb84/model/channel-model.ts'
import { type Beam, beamLoss } from '../free-space/beam.ts'
import { SKY_RADIANCE, type Sky, skyYield } from '../free-space/sky.ts'
import type { Sighting } from './orbit.ts'

/** A satellite that sends and a station that receives, or the other way round. */
export interface SatelliteParameters extends Beam {
  readonly altitudeKm: number
  /** Below this height over the horizon nothing is sent, in degrees. */
  readonly minimumElevationDeg: number
  readonly wavelengthNm: number
  /** Loss of the whole air straight up, in dB; along a slant it is as many times larger as the way is longer. */
  readonly zenithLossDb: number
  /** How bright it is behind the satellite. */
  readonly sky: Sky
  readonly fieldOfViewUrad: number
  readonly filterNm: number
  readonly gatePs: number
}

/** Click statistics while the satellite stands there. */
export function satelliteChannel(
  receiver: ReceiverParameters,
  satellite: SatelliteParameters,
  { elevationDeg, rangeKm }: Sighting,
  { interceptFraction = 0 }: { interceptFraction?: number } = {},
): ChannelModel {
  const { collected, fading } = beamLoss(satellite, rangeKm)
  const airLossDb = satellite.zenithLossDb / Math.sin((Math.PI / 180) * elevationDeg)
  const { receiverEfficiency } = receiver
  return new ChannelModel(receiver, {
    lossDb: airLossDb - 10 * Math.log10(collected),
    skyYield: skyYield({ ...satellite, radiance: SKY_RADIANCE[satellite.sky], receiverEfficiency }),
    fading,
    interceptFraction,
  })
}
