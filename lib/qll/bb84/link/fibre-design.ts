import { ChannelModel } from '../model/channel-model.ts'
import { planBlock } from '../model/plan-block.ts'
import { bb84Preset } from '../model/presets.ts'
import { ramanYield } from '../model/raman.ts'
import type { Bb84LinkOptions } from './bb84-link-options.ts'

/** A fibre link in a person's words. */
export interface FibreDesign {
  /** A name among `BB84_PRESETS`. */
  readonly preset: string
  readonly distanceKm: number
  /** Sifted bits of a block of post-processing. */
  readonly keyBits: number
  /** Power of classical channels along the photons, in dBm. Default: the fibre is dark. */
  readonly classicalDbm?: number
  /** Width of the filter that keeps them out, in nm. Default 0.1. */
  readonly filterNm?: number
}

/** Time in which a gate counts, where classical light comes along, in picoseconds. */
const GATE_PS = 300

/**
 * What such a link is made from: the path, and the choices of intensities and bases that give most key in blocks of that
 * size. Both ends work them out alike.
 * @throws {InvalidArgumentError} no such preset
 */
export function designFibre({
  preset,
  distanceKm,
  keyBits,
  classicalDbm,
  filterNm = 0.1,
}: FibreDesign): Pick<Bb84LinkOptions, 'channel' | 'protocol' | 'keyBits'> {
  const { receiver } = bb84Preset(preset)
  const light = { launchPowerDbm: classicalDbm ?? 0, direction: 'co', filterNm, gatePs: GATE_PS } as const
  const stray = classicalDbm === undefined ? 0 : ramanYield(light, { ...receiver, lengthKm: distanceKm })
  const channel = new ChannelModel(receiver, { lengthKm: distanceKm, ramanYield: stray })
  return { channel, protocol: planBlock(channel, { keyBits }).protocol, keyBits }
}
