import type { SecurityLevel, TrustClass } from '../../interface/kms.ts'

/** Level and class of a key, or of one of the ways that it goes. */
export interface WayLabel {
  readonly level: SecurityLevel
  readonly trustClass: TrustClass
}

/** The lower, the further behind. A way of another kind takes a key of one of the first three to plain cells. */
const LEVEL_RANKS: Readonly<Record<SecurityLevel, number>> = {
  'one-time-pad': 0,
  hybrid: 0,
  quantum: 1,
  expanded: 2,
  'post-quantum': 3,
}
const CLASSES: readonly TrustClass[] = ['direct', 'split', 'relayed', 'post-quantum']

/**
 * What a key is worth that went all these ways: the lowest level and the weakest class. A key made for hybrid ways loses that
 * quality on a plain one and the other way round: what both promise is `quantum`.
 */
export function lowestLabel(ways: readonly WayLabel[]): WayLabel {
  const [first, ...others] = ways
  return others.reduce<WayLabel>(
    (sum, way) => ({
      level: lowerLevel(sum.level, way.level),
      trustClass: CLASSES[Math.max(CLASSES.indexOf(sum.trustClass), CLASSES.indexOf(way.trustClass))]!,
    }),
    first!,
  )
}

function lowerLevel(a: SecurityLevel, b: SecurityLevel): SecurityLevel {
  if (a === b) return a
  const [rankA, rankB] = [LEVEL_RANKS[a], LEVEL_RANKS[b]]
  if (rankA === rankB) return 'quantum'
  return rankA > rankB ? a : b
}
