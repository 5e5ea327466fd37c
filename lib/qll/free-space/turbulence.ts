import type { Fading } from '../bb84/model/channel-model.ts'
import { fadingOf, product, steady } from './fading.ts'

/** How strong the air flickers over a horizontal path. */
export interface Turbulence {
  /** Strength of the refractive index's fluctuations (Cn²), in m^(-2/3): 1e-17 (calm) to 1e-13 (hot roofs). */
  readonly cn2: number
  /** Law of the flicker: `log-normal` for weak turbulence, `gamma-gamma` for any. */
  readonly law: 'log-normal' | 'gamma-gamma'
}

/** The path that the light takes through it. */
export interface TurbulentPath {
  readonly lengthKm: number
  readonly wavelengthNm: number
  /** Diameter of the receiving telescope, in metres: a large one averages the flicker. */
  readonly apertureM: number
}

/** Rytov variance of a plane wave: 1.23 Cn² k^(7/6) L^(11/6). Below 1 turbulence counts as weak. */
export function rytovVariance(cn2: number, { lengthKm, wavelengthNm }: TurbulentPath): number {
  return 1.23 * cn2 * waveNumber(wavelengthNm) ** (7 / 6) * (1e3 * lengthKm) ** (11 / 6)
}

/**
 * Fading by turbulence. The gamma-gamma law and its two parameters are of Al-Habash, Andrews and Phillips, Opt. Eng. 40,
 * 1554 (2001); the aperture averages both scales alike, by the factor for a weak plane wave.
 */
export function turbulentFading({ cn2, law }: Turbulence, path: TurbulentPath): Fading {
  const rytov = rytovVariance(cn2, path)
  // Below a millionth there is nothing to see, and grids get too narrow.
  if (path.lengthKm === 0 || rytov < 1e-6) return steady
  const { large, small } = scales(rytov)
  const share = apertureAveraging(path)
  if (law === 'gamma-gamma') return product(gamma(large / share), gamma(small / share))
  return logNormal(share * (1 / large + 1 / small + 1 / (large * small)))
}

/** Effective numbers of large and small eddies: the shapes of the two gamma laws. */
function scales(rytov: number): { readonly large: number; readonly small: number } {
  const fifth = rytov ** (6 / 5)
  return {
    large: 1 / Math.expm1((0.49 * rytov) / (1 + 1.11 * fifth) ** (7 / 6)),
    small: 1 / Math.expm1((0.51 * rytov) / (1 + 0.69 * fifth) ** (5 / 6)),
  }
}

/** Share of the flicker that is left behind a telescope of that size (Andrews and Phillips). */
function apertureAveraging({ lengthKm, wavelengthNm, apertureM }: TurbulentPath): number {
  return (1 + (1.062 * waveNumber(wavelengthNm) * apertureM ** 2) / (4e3 * lengthKm)) ** (-7 / 6)
}

function gamma(shape: number): Fading {
  const spread = 6 / Math.sqrt(shape)
  const range = { from: Math.max(1e-4, Math.exp(-spread - 1 / shape)), to: Math.exp(Math.min(spread, 4)) }
  return fadingOf(factor => (shape - 1) * Math.log(factor) - shape * factor, range)
}

function logNormal(index: number): Fading {
  const sigma2 = Math.log1p(index)
  const sigma = Math.sqrt(sigma2)
  const centre = -sigma2 / 2
  const range = { from: Math.exp(centre - 6 * sigma), to: Math.exp(centre + 6 * sigma) }
  return fadingOf(factor => -((Math.log(factor) - centre) ** 2) / (2 * sigma2) - Math.log(factor), range)
}

function waveNumber(wavelengthNm: number): number {
  return (2 * Math.PI) / (wavelengthNm * 1e-9)
}
