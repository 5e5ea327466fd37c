import type { Incident } from '../../interface/incident.ts'
import type { Hold } from '../pool/block-holds.ts'
import { exposureOf, goesByBlock, inRange, namesPair } from './selector.ts'

/** The two sites of a pool, as one of them sees it. */
export interface PoolSides {
  readonly localSiteId: string
  readonly remoteSiteId: string
}

/** True where an incident can be about keys of that pool: its origin is one of the two sites, and the pool is not another. */
export function concernsPool({ originSiteId, selector }: Incident, { localSiteId, remoteSiteId }: PoolSides): boolean {
  // A peer speaks of the pool that it shares with this site, and of no other.
  if (originSiteId !== localSiteId && originSiteId !== remoteSiteId) return false
  const other = originSiteId === localSiteId ? remoteSiteId : localSiteId
  return selector.pool === undefined || selector.pool === other
}

/** What an incident keeps back in a pool that it concerns. */
export function holdOf({ id, selector }: Incident, now: () => number): Hold {
  const isForSaes = !goesByBlock(selector)
  const { link, relay, sinceMs, untilMs } = selector
  const isAnyBlock = link === undefined && relay === undefined && sinceMs === undefined && untilMs === undefined
  return {
    id,
    isForSaes,
    isForAll: selector.saePair === undefined,
    isAnyBlock: isForSaes || isAnyBlock,
    holdsWay: way => isForSaes || exposureOf(selector, way) !== 'none',
    holdsKey: (saeIds, issuedSinceMs) => {
      if (!namesPair(selector, saeIds)) return false
      const nowMs = now()
      return !isForSaes || inRange(selector, Math.min(issuedSinceMs, nowMs), nowMs)
    },
  }
}
