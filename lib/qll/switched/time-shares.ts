import { InvalidArgumentError } from '../../errors.ts'

/** A site whose links share modules behind an optical switch. */
export interface SwitchedSite {
  readonly id: string
  /** Senders or receivers of the site, each of which serves one link at a time. Default: one for each link. */
  readonly modules?: number
}

/** A fibre between two sites, and how much of the time light shall run over it. */
export interface SharedLink {
  readonly id: string
  readonly a: string
  readonly b: string
  /** From 0 to 1, as the planner's `timeShare`; switching does not count. */
  readonly timeShare: number
}

/** Links that run together for a share of the time. */
export interface Matching {
  readonly share: number
  readonly links: readonly SharedLink[]
}

/** The sites by ID, with what limits them. @throws {InvalidArgumentError} a link names an unknown site or no share of 1 */
export function modulesBySite(sites: readonly SwitchedSite[], links: readonly SharedLink[]): Map<string, number> {
  const modules = new Map(sites.map(({ id, modules: count = Number.POSITIVE_INFINITY }) => [id, count]))
  for (const { id, a, b, timeShare } of links) {
    if (!modules.has(a) || !modules.has(b) || a === b) {
      throw new InvalidArgumentError(`Link "${id}" must join two of the sites, not "${a}" and "${b}"`)
    }
    if (timeShare >= 0 && timeShare <= 1) continue
    throw new InvalidArgumentError(`Link "${id}" has a time share of ${timeShare}; it must be from 0 to 1`)
  }
  return modules
}

/** Shares below this are rounding errors. */
const LEAST_SHARE = 1e-9

/**
 * Cuts time shares into sets of links that can run together: no site runs more links at once than it has modules. Where
 * the sites fall into two groups with links between the groups alone (senders and receivers), the sets last no longer
 * than the busiest site or link needs (Birkhoff and von Neumann); elsewhere up to half as long again. The sum of their shares says
 * what is needed: above 1, the shares cannot all be had.
 */
export function cutIntoMatchings(modules: ReadonlyMap<string, number>, links: readonly SharedLink[]): Matching[] {
  const left = new Map(links.filter(({ timeShare }) => timeShare > LEAST_SHARE).map(link => [link, link.timeShare]))
  const matchings: Matching[] = []
  while (left.size > 0) {
    const needs = needsOf(modules, left)
    const span = Math.max(...needs.values(), ...left.values())
    const chosen = criticalMatching(modules, { left, needs, span })
    // Until one of the chosen is done, or something that was left out must not wait any longer.
    let share = Math.min(...chosen.map(link => left.get(link)!))
    for (const [link, rest] of left) if (!chosen.includes(link)) share = Math.min(share, span - rest)
    for (const [site, need] of needs) {
      const used = chosen.filter(({ a, b }) => a === site || b === site).length
      const capacity = modules.get(site)!
      if (used < capacity) share = Math.min(share, ((span - need) * capacity) / (capacity - used))
    }
    // Where no set holds all that is critical, time is lost, and the next set starts anew.
    share = share > LEAST_SHARE ? share : Math.min(...chosen.map(link => left.get(link)!))
    for (const link of chosen) {
      const rest = left.get(link)! - share
      if (rest > LEAST_SHARE) left.set(link, rest)
      else left.delete(link)
    }
    matchings.push({ share, links: chosen })
  }
  return merged(matchings)
}

interface Remaining {
  readonly left: ReadonlyMap<SharedLink, number>
  /** Time that each site still needs with all its modules at work. */
  readonly needs: ReadonlyMap<string, number>
  readonly span: number
}

function needsOf(modules: ReadonlyMap<string, number>, left: ReadonlyMap<SharedLink, number>): Map<string, number> {
  const needs = new Map<string, number>()
  for (const [{ a, b }, share] of left) {
    for (const site of [a, b]) {
      const capacity = modules.get(site)!
      if (Number.isFinite(capacity)) needs.set(site, (needs.get(site) ?? 0) + share / capacity)
    }
  }
  return needs
}

/**
 * Links that can run together, as many as serve all critical sites (those that need all of the remaining span): taken by
 * urgency, then repaired by exchanges along paths where a critical site has still a module free.
 */
function criticalMatching(modules: ReadonlyMap<string, number>, { left, needs, span }: Remaining): SharedLink[] {
  const urgency = ({ a, b }: SharedLink, share: number) => (needs.get(a) ?? 0) + (needs.get(b) ?? 0) + share
  const byUrgency = [...left].sort(([a, x], [b, y]) => urgency(b, y) - urgency(a, x)).map(([link]) => link)
  const chosen = new Set<SharedLink>()
  const free = new Map(modules)
  const toggle = (link: SharedLink, on: boolean) => {
    if (on) chosen.add(link)
    else chosen.delete(link)
    for (const site of [link.a, link.b]) free.set(site, free.get(site)! + (on ? -1 : 1))
  }
  for (const link of byUrgency) if (free.get(link.a)! > 0 && free.get(link.b)! > 0) toggle(link, true)
  const isCritical = (site: string) => (needs.get(site) ?? 0) > span - LEAST_SHARE
  for (const [site] of needs) {
    while (isCritical(site) && free.get(site)! > 0) {
      const path = exchange(site, byUrgency, { chosen, free, isCritical })
      if (path === undefined) break
      for (const link of path) if (chosen.has(link)) toggle(link, false)
      for (const link of path.filter((_, at) => at % 2 === 0)) toggle(link, true)
    }
  }
  return [...chosen]
}

/**
 * Links to take and to drop in turn, beginning at `from`, after which `from` runs one more and no critical site one fewer.
 */
function exchange(
  from: string,
  links: readonly SharedLink[],
  {
    chosen,
    free,
    isCritical,
  }: { chosen: ReadonlySet<SharedLink>; free: ReadonlyMap<string, number>; isCritical: (site: string) => boolean },
): SharedLink[] | undefined {
  const seen = new Set([from])
  const queue: { site: string; path: SharedLink[] }[] = [{ site: from, path: [] }]
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    const { site, path } = step
    for (const link of links) {
      if (chosen.has(link) || (link.a !== site && link.b !== site)) continue
      const far = link.a === site ? link.b : link.a
      if (far !== from && free.get(far)! > 0) return [...path, link]
      if (seen.has(far)) continue
      seen.add(far)
      for (const dropped of chosen) {
        if (dropped.a !== far && dropped.b !== far) continue
        const next = dropped.a === far ? dropped.b : dropped.a
        if (seen.has(next)) continue
        if (!isCritical(next)) return [...path, link, dropped]
        seen.add(next)
        queue.push({ site: next, path: [...path, link, dropped] })
      }
    }
  }
  return undefined
}

/** Sets of the same links as one. */
function merged(matchings: readonly Matching[]): Matching[] {
  const byLinks = new Map<string, Matching>()
  for (const { share, links } of matchings) {
    const sorted = [...links].sort((a, b) => (a.id < b.id ? -1 : 1))
    const key = JSON.stringify(sorted.map(({ id }) => id))
    byLinks.set(key, { share: share + (byLinks.get(key)?.share ?? 0), links: sorted })
  }
  return [...byLinks.values()]
}
