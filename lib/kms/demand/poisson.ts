/** Above this mean a Poisson distribution is taken as a normal one, corrected for its skew. */
const LARGE_MEAN = 200

/**
 * The least `n` with P[N > n] <= `tail`, for N with a Poisson distribution of that mean. `tail` lies between 0 and 0.5.
 */
export function poissonQuantile(mean: number, tail: number): number {
  if (!(mean > 0)) return 0
  if (mean > LARGE_MEAN) {
    const z = normalQuantile(tail)
    return Math.ceil(mean + z * Math.sqrt(mean) + (z * z - 1) / 6)
  }
  let n = 0
  let probability = Math.exp(-mean)
  let above = 1 - probability
  // Below the mean's own size rounding may leave `above` at a crumb that is not the tail's.
  while (above > tail && probability > 0) {
    n += 1
    probability *= mean / n
    above -= probability
  }
  return n
}

/** The z with P[Z > z] = `tail` for a normal Z, to 0.0005 (Abramowitz and Stegun, 26.2.23). `tail` up to 0.5. */
export function normalQuantile(tail: number): number {
  const t = Math.sqrt(-2 * Math.log(tail))
  return t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}
