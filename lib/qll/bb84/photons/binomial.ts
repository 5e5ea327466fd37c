import type { SeededRandom } from '../random.ts'

/**
 * How many of `trials` independent trials succeed, each with probability `chance`: an exact draw, in a time that does not
 * grow with the number of trials.
 */
export function binomial(random: SeededRandom, trials: number, chance: number): number {
  if (trials <= 0 || chance <= 0) return 0
  if (chance >= 1) return trials
  if (chance > 0.5) return trials - binomial(random, trials, 1 - chance)
  return trials * chance < 10 ? byWaiting(random, trials, chance) : byRejection(random, trials, chance)
}

/** Counts successes by drawing the waits between them; for few expected successes. */
function byWaiting(random: SeededRandom, trials: number, chance: number): number {
  const perTrial = Math.log1p(-chance)
  let successes = -1
  for (let at = 0; at <= trials; successes++) {
    at += Math.floor(Math.log(1 - random.uniform()) / perTrial) + 1
  }
  return successes
}

/** Transformed rejection with a squeeze (Hörmann, J. Stat. Comput. Simul. 46, 101 (1993), algorithm BTRS). */
function byRejection(random: SeededRandom, trials: number, chance: number): number {
  const spread = Math.sqrt(trials * chance * (1 - chance))
  const b = 1.15 + 2.53 * spread
  const a = -0.0873 + 0.0248 * b + 0.01 * chance
  const centre = trials * chance + 0.5
  const squeeze = 0.92 - 4.2 / b
  const alpha = (2.83 + 5.1 / b) * spread
  const odds = Math.log(chance / (1 - chance))
  const mode = Math.floor((trials + 1) * chance)
  const atMode = logFactorial(mode) + logFactorial(trials - mode)
  for (;;) {
    const u = random.uniform() - 0.5
    const v = 1 - random.uniform()
    const edge = 0.5 - Math.abs(u)
    const drawn = Math.floor(((2 * a) / edge + b) * u + centre)
    if (drawn < 0 || drawn > trials) continue
    if (edge >= 0.07 && v <= squeeze) return drawn
    const height = Math.log((v * alpha) / (a / (edge * edge) + b))
    if (height <= atMode - logFactorial(drawn) - logFactorial(trials - drawn) + (drawn - mode) * odds) return drawn
  }
}

/** ln n!, by Stirling's series from 16 on, exact to about 1e-13. */
function logFactorial(n: number): number {
  if (n < 16) {
    let product = 1
    for (let i = 2; i <= n; i++) product *= i
    return Math.log(product)
  }
  const inverse = 1 / n
  const series = inverse * (1 / 12 - inverse * inverse * (1 / 360 - (inverse * inverse) / 1260))
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + series
}
