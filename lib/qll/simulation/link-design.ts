import {
  asymptoticRate,
  asymptoticRateBps,
  exactSinglePhotons,
  maximumLengthKm,
  vacuumWeakBounds,
} from '../bb84/model/asymptotic-rate.ts'
import { ChannelModel } from '../bb84/model/channel-model.ts'
import { type BlockPlan, planBlock } from '../bb84/model/plan-block.ts'
import { BB84_PRESETS, type Bb84Preset } from '../bb84/model/presets.ts'
import { type ClassicalLight, ramanYield } from '../bb84/model/raman.ts'
import { type FreeSpaceParameters, freeSpaceChannel } from '../free-space/free-space-channel.ts'
import { FREE_SPACE_PRESETS } from '../free-space/presets.ts'

/** The presets that a link can be designed from, by name: those of fibres, and those of paths through air. */
export const DESIGN_PRESETS: Readonly<Record<string, Bb84Preset & { readonly air?: FreeSpaceParameters }>> = {
  ...BB84_PRESETS,
  ...FREE_SPACE_PRESETS,
}

/** A BB84 link on paper: devices, what lies between them, and how long its blocks are. */
export interface LinkDesign {
  /** Devices, and the air between them where it is no fibre. */
  readonly preset: Bb84Preset & { readonly air?: FreeSpaceParameters }
  /** Distance of the two sites, in km. */
  readonly lengthKm: number
  /** Classical channels in the same fibre. Default none. */
  readonly classical?: ClassicalLight
  /** Sifted bits of a block. */
  readonly blockBits: number
}

/** The click statistics of a design at its length, or at another one. */
export function designChannel(
  design: LinkDesign,
  { lengthKm = design.lengthKm, interceptFraction = 0 }: { lengthKm?: number; interceptFraction?: number } = {},
): ChannelModel {
  const { preset, classical } = design
  const { receiver, air } = preset
  if (air !== undefined) return freeSpaceChannel(receiver, air, { lengthKm, interceptFraction })
  const stray = classical === undefined ? 0 : ramanYield(classical, { ...receiver, lengthKm })
  return new ChannelModel(receiver, { lengthKm, ramanYield: stray, interceptFraction })
}

/** What a design is expected to yield at one length. */
export interface DesignPoint {
  readonly lengthKm: number
  /** Error rate of the signal pulses' clicks. */
  readonly qber: number
  /** Secret bits a second in the limit of long keys, with infinitely many decoys; 0 without key. */
  readonly infiniteDecoysBps: number
  /** The same with vacuum and weak decoy. */
  readonly vacuumWeakBps: number
  /** The same in blocks of the design's size, with the choices that are best at this length. */
  readonly finiteBlocksBps: number
}

/** The design at one length, dead time included. */
export function designPoint(design: LinkDesign, lengthKm: number): DesignPoint {
  const channel = designChannel(design, { lengthKm })
  const { asymptotic } = design.preset
  const live = channel.clockHz * channel.liveFraction(channel.gain(asymptotic.signalIntensity))
  const infiniteDecoysBps = Math.max(asymptoticRate(channel, asymptotic, exactSinglePhotons(channel)), 0) * live
  return {
    lengthKm,
    qber: channel.qber(asymptotic.signalIntensity),
    infiniteDecoysBps,
    vacuumWeakBps: asymptoticRateBps(channel, asymptotic),
    // What long keys cannot have, short blocks cannot either, and the search takes longest there.
    finiteBlocksBps: infiniteDecoysBps === 0 ? 0 : planDesign(design, lengthKm).rateBps,
  }
}

/** How the two sides play a block at that length: they know of no eavesdropper. */
export function planDesign(design: LinkDesign, lengthKm = design.lengthKm): BlockPlan {
  const plan = planBlock(designChannel(design, { lengthKm }), { keyBits: design.blockBits })
  if (plan.secretBits > 0) return plan
  // Beyond the reach of key the preset's own choices are as good as any.
  return { ...plan, protocol: design.preset.protocol }
}

/** The length in km beyond which the design yields no key in the limit of long keys, by vacuum and weak decoy. */
export function designReachKm(design: LinkDesign): number {
  const { asymptotic } = design.preset
  return maximumLengthKm(lengthKm => {
    const channel = designChannel(design, { lengthKm })
    return asymptoticRate(channel, asymptotic, vacuumWeakBounds(channel, asymptotic))
  })
}

/** The lengths that a curve of a design has by default. */
export const CURVE_POINTS = 24

/** The design at `points` lengths from 0 to a little beyond its reach, one after the other. */
export function* designCurve(design: LinkDesign, points = CURVE_POINTS): Generator<DesignPoint> {
  const endKm = Math.max(designReachKm(design), design.lengthKm, 1) * 1.05
  for (let at = 0; at < points; at++) yield designPoint(design, (endKm * at) / (points - 1))
}
