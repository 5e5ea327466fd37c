import { InvalidArgumentError } from '../../errors.ts'
import { ChannelModel, type ReceiverParameters, type Span } from '../bb84/model/channel-model.ts'
import { type Beam, beamLoss } from './beam.ts'
import { product } from './fading.ts'
import { SKY_RADIANCE, type Sky, skyYield } from './sky.ts'
import { type Turbulence, turbulentFading } from './turbulence.ts'

/** Everything between two telescopes. */
export interface FreeSpaceParameters extends Beam, Turbulence {
  readonly wavelengthNm: number
  /** Loss of the air itself, in dB per km: 0.2 (very clear) to 20 (fog). */
  readonly airLossDbPerKm: number
  /** How bright it is behind the sender: a name, or W/(m² sr nm). */
  readonly sky: Sky | number
  /** Full angle that the receiver sees, in microradians. */
  readonly fieldOfViewUrad: number
  /** Width of the receiver's filter, in nm. */
  readonly filterNm: number
  /** Time in which a gate counts, in picoseconds. */
  readonly gatePs: number
}

/** A free-space path as `ChannelModel` takes it. */
export function freeSpaceSpan(
  air: FreeSpaceParameters,
  { lengthKm, receiverEfficiency }: { lengthKm: number; receiverEfficiency: number },
): Span {
  const { collected, fading } = beamLoss(air, lengthKm)
  const lossDb = air.airLossDbPerKm * lengthKm - 10 * Math.log10(collected)
  const radiance = radianceOf(air.sky)
  return {
    lossDb,
    skyYield: skyYield({ ...air, radiance, receiverEfficiency }),
    fading: product(turbulentFading(air, { ...air, lengthKm }), fading),
  }
}

/**
 * Click statistics over air. Fading is faster than a block of post-processing: its mean over the levels is what counts.
 * The receiver's `fibreLossDbPerKm` plays no part.
 */
export function freeSpaceChannel(
  receiver: ReceiverParameters,
  air: FreeSpaceParameters,
  { lengthKm, ...span }: { lengthKm: number; interceptFraction?: number },
): ChannelModel {
  const { receiverEfficiency } = receiver
  return new ChannelModel(receiver, { ...freeSpaceSpan(air, { lengthKm, receiverEfficiency }), ...span })
}

function radianceOf(sky: Sky | number): number {
  const radiance = typeof sky === 'number' ? sky : SKY_RADIANCE[sky]
  if (radiance !== undefined && radiance >= 0) return radiance
  throw new InvalidArgumentError(`sky must be a radiance or one of ${Object.keys(SKY_RADIANCE).join(', ')}`)
}
