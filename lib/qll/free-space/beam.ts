import type { Fading } from '../bb84/model/channel-model.ts'
import { fadingByQuantile, steady } from './fading.ts'

/** A beam between two telescopes. */
export interface Beam {
  /** Radius (1/e²) of the beam where it leaves, in metres. */
  readonly waistM: number
  /** Half angle at which it spreads (1/e²), in microradians. */
  readonly divergenceUrad: number
  /** Diameter of the receiving telescope, in metres. */
  readonly apertureM: number
  /** Standard deviation of the pointing error along each axis, in microradians. */
  readonly jitterUrad: number
}

/** What a beam loses by its width and its wandering. */
export interface BeamLoss {
  /** Mean share of the light that enters the telescope. */
  readonly collected: number
  /** How that share changes as the beam wanders. */
  readonly fading: Fading
}

/**
 * A Gaussian beam on a round telescope, off its axis by a Rayleigh law (Farid and Hranilovic, J. Lightwave Technol. 25,
 * 1702 (2007)): the share on the axis times `u^(1/γ²)` for a uniform `u`.
 */
export function beamLoss({ waistM, divergenceUrad, apertureM, jitterUrad }: Beam, lengthKm: number): BeamLoss {
  const lengthM = 1e3 * lengthKm
  const radiusM = Math.hypot(waistM, divergenceUrad * 1e-6 * lengthM)
  const onAxis = -Math.expm1(-2 * (apertureM / 2 / radiusM) ** 2)
  const wanderM = jitterUrad * 1e-6 * lengthM
  if (wanderM === 0) return { collected: onAxis, fading: steady }
  const v = (Math.sqrt(Math.PI / 2) * apertureM) / 2 / radiusM
  const equivalent2 = (radiusM ** 2 * Math.sqrt(Math.PI) * errorFunction(v)) / (2 * v * Math.exp(-(v ** 2)))
  const gamma2 = equivalent2 / (4 * wanderM ** 2)
  return {
    collected: (onAxis * gamma2) / (gamma2 + 1),
    fading: fadingByQuantile(quantile => quantile ** (1 / gamma2)),
  }
}

/** By Abramowitz and Stegun, 7.1.26: good to 1.5e-7. */
function errorFunction(x: number): number {
  const t = 1 / (1 + 0.3275911 * x)
  const tail = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((sum, c) => (sum + c) * t, 0)
  return 1 - tail * Math.exp(-x * x)
}
