/** Classical channels that share the fibre with the photons. */
export interface ClassicalLight {
  /** Power that each direction launches into the fibre, in dBm. */
  readonly launchPowerDbm: number
  /** Runs with the photons (their scattering travels along) or against them (it is reflected back to Bob). */
  readonly direction: 'co' | 'counter'
  /** Width of the filter before Bob's detectors, in nm. */
  readonly filterNm: number
  /** Time in which a gate counts, in picoseconds. */
  readonly gatePs: number
  /** Wavelength of the photons, in nm. Default 1550. */
  readonly wavelengthNm?: number
  /** Scattered power per launched power, km of fibre and nm of filter. Default 2e-9, for neighbours in the C band. */
  readonly scatteringPerKmNm?: number
}

/** Energy of one photon of 1 nm wavelength, in joule (Planck's constant times the speed of light). */
const PHOTON_ENERGY_J_NM = 1.98644586e-16

/**
 * Probability per gate that a photon scattered out of the classical light (Raman) makes a click at Bob: to be added to
 * the span as `ramanYield` (network specification, section 3.4). It grows with power, filter, gate and, until loss wins,
 * with length.
 */
export function ramanYield(
  light: ClassicalLight,
  {
    lengthKm,
    fibreLossDbPerKm,
    receiverEfficiency,
  }: { lengthKm: number; fibreLossDbPerKm: number; receiverEfficiency: number },
): number {
  const launchedW = 1e-3 * 10 ** (light.launchPowerDbm / 10)
  const perKm = launchedW * (light.scatteringPerKmNm ?? 2e-9) * light.filterNm
  const lossPerKm = (fibreLossDbPerKm * Math.LN10) / 10
  const reachKm =
    light.direction === 'co'
      ? lengthKm * Math.exp(-lossPerKm * lengthKm)
      : lossPerKm === 0
        ? lengthKm
        : -Math.expm1(-2 * lossPerKm * lengthKm) / (2 * lossPerKm)
  const photonJ = PHOTON_ENERGY_J_NM / (light.wavelengthNm ?? 1550)
  return ((perKm * reachKm) / photonJ) * light.gatePs * 1e-12 * receiverEfficiency
}
