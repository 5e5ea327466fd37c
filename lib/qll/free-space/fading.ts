import type { Fading } from '../bb84/model/channel-model.ts'

/** Levels that one cause of fading is cut into, and levels that are left when several were multiplied. */
const LEVELS = 48

/** No fading at all. */
export const steady: Fading = [{ share: 1, factor: 1 }]

/**
 * The fading of a density over the factor, cut into levels on a logarithmic grid.
 * @param logDensity logarithm of the density, up to a constant, at a factor above 0
 */
export function fadingOf(logDensity: (factor: number) => number, { from, to }: { from: number; to: number }): Fading {
  const step = Math.log(to / from) / (LEVELS - 1)
  const factors = Array.from({ length: LEVELS }, (_, at) => from * Math.exp(step * at))
  // A step of the grid is as wide as its factor.
  const logs = factors.map(factor => logDensity(factor) + Math.log(factor))
  const highest = Math.max(...logs)
  return normalised(factors.map((factor, at) => ({ factor, share: Math.exp(logs[at]! - highest) })))
}

/** The fading whose factor has this value at each quantile from 0 to 1. */
export function fadingByQuantile(factorAt: (quantile: number) => number): Fading {
  return normalised(
    Array.from({ length: LEVELS }, (_, at) => ({ factor: factorAt((at + 0.5) / LEVELS), share: 1 / LEVELS })),
  )
}

/** Two independent causes of fading together. */
export function product(a: Fading, b: Fading): Fading {
  if (a.length === 1) return b
  if (b.length === 1) return a
  return condensed(a.flatMap(one => b.map(two => ({ factor: one.factor * two.factor, share: one.share * two.share }))))
}

/** Relative variance of the power: the scintillation index where turbulence is the cause. */
export function variance(fading: Fading): number {
  return fading.reduce((sum, { share, factor }) => sum + share * (factor - 1) ** 2, 0)
}

/** As many levels as one cause has, of alike shares, each the mean of those that fell into it. */
function condensed(levels: Fading): Fading {
  const sorted = [...levels].sort((a, b) => a.factor - b.factor)
  const out: { factor: number; share: number }[] = []
  let [share, weighted] = [0, 0]
  for (const level of sorted) {
    share += level.share
    weighted += level.share * level.factor
    if (share < 1 / LEVELS && level !== sorted.at(-1)) continue
    out.push({ factor: weighted / share, share })
    ;[share, weighted] = [0, 0]
  }
  return normalised(out)
}

function normalised(levels: Fading): Fading {
  const total = levels.reduce((sum, { share }) => sum + share, 0)
  const mean = levels.reduce((sum, { share, factor }) => sum + share * factor, 0) / total
  return levels.map(({ share, factor }) => ({ share: share / total, factor: factor / mean }))
}
