import type { Incident } from '../../interface/incident.ts'
import type { Hold } from '../pool/block-holds.ts'
import type { StoredWay } from '../pool/block-way.ts'
import { exposureOf, goesByBlock, inRange, namesPair } from './selector.ts'

/** The two sites of a pool, as one of them sees it. */
export interface PoolSides {
  readonly localSiteId: string
  readonly remoteSiteId: string
}

/** True where the sites of that pool can have keys that an incident is about: its origin is one of the two. */
export function reachesPool({ originSiteId }: Incident, { localSiteId, remoteSiteId }: PoolSides): boolean {
  // A peer speaks of the pool that it shares with this site, and of no other.
  return originSiteId === localSiteId || originSiteId === remoteSiteId
}

/** True where an incident can be about the blocks of that pool too, since the pool that it names, if any, is not another. */
export function concernsPool(incident: Incident, sides: PoolSides): boolean {
  const { pool } = incident.selector
  return reachesPool(incident, sides) && (pool === undefined || pool === otherOf(incident, sides))
}

function otherOf({ originSiteId }: Incident, { localSiteId, remoteSiteId }: PoolSides): string {
  return originSiteId === localSiteId ? remoteSiteId : localSiteId
}

/** What an incident keeps back in a pool: of one that it does not name, keys of several sites that came by that too. */
export function holdIn(incident: Incident, sides: PoolSides, now: () => number): Hold {
  const hold = holdOf(incident, now)
  if (concernsPool(incident, sides)) return hold
  const ends = [incident.originSiteId, incident.selector.pool!]
  return { ...hold, isAnyBlock: false, holdsWay: way => joins(way, ends) && hold.holdsWay(way) }
}

/** True where the way is one between these two sites; of one that is told in short, where it may be. */
function joins({ shares }: StoredWay, ends: readonly string[]): boolean {
  const isBetween = (path: readonly string[]) => ends.every(end => end === path[0] || end === path.at(-1))
  const mayBe = (path: readonly string[]) => path[0] === '' && ends.every(end => path.includes(end))
  return shares.flat().some(path => isBetween(path) || mayBe(path))
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
