import { ChannelModel } from '../model/channel-model.ts'
import { planBlock } from '../model/plan-block.ts'
import { bb84Preset } from '../model/presets.ts'
import type { Bb84LinkOptions } from './bb84-link-options.ts'

/** A fibre link in a person's words. */
export interface FibreDesign {
  /** A name among `BB84_PRESETS`. */
  readonly preset: string
  readonly distanceKm: number
  /** Sifted bits of a block of post-processing. */
  readonly keyBits: number
}

/**
 * What such a link is made from: the path, and the choices of intensities and bases that give most key in blocks of that
 * size. Both ends work them out alike.
 * @throws {InvalidArgumentError} no such preset
 */
export function designFibre({
  preset,
  distanceKm,
  keyBits,
}: FibreDesign): Pick<Bb84LinkOptions, 'channel' | 'protocol' | 'keyBits'> {
  const channel = new ChannelModel(bb84Preset(preset).receiver, { lengthKm: distanceKm })
  return { channel, protocol: planBlock(channel, { keyBits }).protocol, keyBits }
}
