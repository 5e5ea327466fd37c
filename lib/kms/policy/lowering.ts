import type { SecurityLevel } from '../../interface/kms.ts'
import type { PolicyRate, PolicyTerms } from '../../interface/policy.ts'
import { type Suite, suiteOf } from '../../key/selection.ts'
import { fallbackLevel, mayBeLowered, meetsLevel } from '../../util/security-level.ts'

/** How much key of a lowered level each master may have where its rule does not say: 100 keys of 256 bits a second. */
export const LOWERED_RATE: PolicyRate = { bitsPerSecond: 25_600, burstBits: 256_000 }

/** What a request may be lowered to when its pool is dry. */
export interface Lowering {
  readonly level: SecurityLevel
  readonly suite: Suite
  /** False where the rule would lower the keys but the request does not allow it. */
  readonly isWanted: boolean
}

/**
 * What rule and request together make of a dry pool; undefined where the rule lowers nothing. It takes both: whoever drains a
 * pool must not choose who is weakened.
 */
export function loweringUnder(
  { levels = [], trustClasses, whenLow }: PolicyTerms,
  { level, minLevel }: { level: SecurityLevel; minLevel: SecurityLevel | undefined },
): Lowering | undefined {
  const lower = whenLow === undefined ? undefined : fallbackLevel(whenLow.response)
  if (lower === undefined || !mayBeLowered(level) || !levels.includes(lower)) return undefined
  if (lower === 'post-quantum' && trustClasses?.includes(lower) === false) return undefined
  const isWanted = minLevel !== undefined && meetsLevel(lower, minLevel)
  return { level: lower, suite: suiteOf(lower), isWanted }
}
