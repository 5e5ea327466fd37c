/** Energy of one photon of 1 nm wavelength, in joule (Planck's constant times the speed of light). */
const PHOTON_ENERGY_J_NM = 1.98644586e-16

/** How bright the sky is behind the sender, in W/(m² sr nm): orders of magnitude. Measure yours where it matters. */
export const SKY_RADIANCE = {
  'moonless night': 1.5e-8,
  'full moon': 1.5e-6,
  twilight: 1.5e-4,
  'clear day': 1e-2,
  'hazy day': 1e-1,
} as const satisfies Record<string, number>

export type Sky = keyof typeof SKY_RADIANCE

/** What lets the sky into the detectors. */
export interface SkyView {
  /** Radiance of the sky, in W/(m² sr nm). */
  readonly radiance: number
  /** Diameter of the receiving telescope, in metres. */
  readonly apertureM: number
  /** Full angle that the receiver sees, in microradians. */
  readonly fieldOfViewUrad: number
  /** Width of its filter, in nm. */
  readonly filterNm: number
  /** Time in which a gate counts, in picoseconds. */
  readonly gatePs: number
  readonly wavelengthNm: number
  /** Probability that a photon in the telescope makes a click. */
  readonly receiverEfficiency: number
}

/** Clicks per gate by light of the sky: to be added to the span as `skyYield`. */
export function skyYield(view: SkyView): number {
  const areaM2 = Math.PI * (view.apertureM / 2) ** 2
  const solidAngleSr = Math.PI * ((view.fieldOfViewUrad * 1e-6) / 2) ** 2
  const powerW = view.radiance * areaM2 * solidAngleSr * view.filterNm
  const photonJ = PHOTON_ENERGY_J_NM / view.wavelengthNm
  return (powerW / photonJ) * view.gatePs * 1e-12 * view.receiverEfficiency
}
