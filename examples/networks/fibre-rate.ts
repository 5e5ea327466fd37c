/** Longest fibre between two trusted huts, in kilometres; a longer link is a chain of such spans. */
const MAX_SPAN_KM = 80

/** A decoy-state BB84 system of 1 GHz: detector efficiency, dark counts a pulse, misalignment, signal intensity. */
const system = { pulsesPerSecond: 1e9, efficiency: 0.2, darkCount: 2e-6, misalignment: 0.01, intensity: 0.48 }

/**
 * Secret key rate of a fibre link in whole bits per second: asymptotic decoy BB84 (infinite decoys, 0.2 dB/km, error
 * correction at 1.16 of the Shannon limit) over the longest span of the link.
 */
export function fibreRateBps(lengthKm: number): number {
  const spanKm = lengthKm / Math.max(1, Math.ceil(lengthKm / MAX_SPAN_KM))
  const { pulsesPerSecond, efficiency, darkCount, misalignment, intensity } = system
  const transmittance = efficiency * 10 ** (-0.02 * spanKm)
  const signal = 1 - Math.exp(-transmittance * intensity)
  const gain = darkCount + signal
  const errorRate = (darkCount / 2 + misalignment * signal) / gain
  const singleYield = darkCount + transmittance
  const singleError = (darkCount / 2 + misalignment * transmittance) / singleYield
  const singleGain = singleYield * intensity * Math.exp(-intensity)
  const secret = singleGain * (1 - binaryEntropy(singleError)) - gain * 1.16 * binaryEntropy(errorRate)
  return Math.max(0, Math.round(0.5 * pulsesPerSecond * secret))
}

function binaryEntropy(probability: number): number {
  return -probability * Math.log2(probability) - (1 - probability) * Math.log2(1 - probability)
}
