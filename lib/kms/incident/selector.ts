import { InvalidArgumentError } from '../../errors.ts'
import type { IncidentSelector } from '../../interface/incident.ts'
import type { BlockWay } from '../../interface/qnl.ts'

/** Names in a selector at most so long, in characters. */
const MAX_NAME = 291
/** The last moment that has a date, in milliseconds. */
const MAX_TIME_MS = 8.64e15

/** True where the selector goes by how a block came, and not by the hosts alone. */
export function goesByBlock({ saePair, pool, link, relay }: IncidentSelector): boolean {
  return pool !== undefined || link !== undefined || relay !== undefined || saePair === undefined
}

/**
 * The selector as it is kept: what is not named is left out.
 * @throws {InvalidArgumentError} it names nothing, or something that can't be
 */
export function checkSelector(selector: IncidentSelector): IncidentSelector {
  const { saePair, pool, link, relay, sinceMs, untilMs } = selector
  const named = Object.entries({ pool, link, relay }).filter(([, value]) => value !== undefined)
  for (const [name, value] of [...named, ...(saePair ?? []).map(saeId => ['saePair', saeId] as const)])
    if (typeof value !== 'string' || value === '' || value.length > MAX_NAME)
      throw new InvalidArgumentError(`${name} must have 1 to ${MAX_NAME} characters`)
  if (saePair !== undefined && (saePair.length !== 2 || saePair[0] === saePair[1]))
    throw new InvalidArgumentError('saePair must name two different SAEs')
  for (const [name, value] of Object.entries({ sinceMs, untilMs }))
    if (value !== undefined && !(Number.isFinite(value) && value >= 0 && value <= MAX_TIME_MS))
      throw new InvalidArgumentError(`${name} must be a time in milliseconds, at most ${MAX_TIME_MS}`)
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs)
    throw new InvalidArgumentError('The time range ends before it begins')
  const kept = { saePair, pool, link, relay, sinceMs, untilMs }
  const entries = Object.entries(kept).filter(([, value]) => value !== undefined)
  if (entries.length === 0)
    throw new InvalidArgumentError('Name what the incident is about: SAEs, a pool, a link, a relay or a time range')
  return Object.fromEntries(entries)
}

/** The selector in words. */
export function describeSelector({ saePair, pool, link, relay, sinceMs, untilMs }: IncidentSelector): string {
  return [
    ...(saePair === undefined ? [] : [`SAEs ${saePair.join(' and ')}`]),
    ...(pool === undefined ? [] : [`pool ${pool}`]),
    ...(link === undefined ? [] : [`link ${link}`]),
    ...(relay === undefined ? [] : [`relay ${relay}`]),
    ...(sinceMs === undefined ? [] : [`since ${new Date(sinceMs).toISOString()}`]),
    ...(untilMs === undefined ? [] : [`until ${new Date(untilMs).toISOString()}`]),
  ].join(', ')
}

/** True where both SAEs are among those that get a key. */
export function namesPair({ saePair }: IncidentSelector, saeIds: readonly string[]): boolean {
  return saePair === undefined || saePair.every(saeId => saeIds.includes(saeId))
}

/** True where the range has a moment in common with that of the selector. */
export function inRange({ sinceMs, untilMs }: IncidentSelector, fromMs: number, toMs: number): boolean {
  return toMs >= (sinceMs ?? Number.NEGATIVE_INFINITY) && fromMs <= (untilMs ?? Number.POSITIVE_INFINITY)
}

/** What is known of how a block came, where it came over the network at all. */
export type KnownWay = Pick<BlockWay, 'shares' | 'links' | 'sinceMs' | 'untilMs'>

/** How much of a block the links and relays of a selector saw. */
export type Exposure =
  /** Nothing of it, or not in that time. */
  | 'none'
  /** Some shares, of which each alone says nothing. */
  | 'shares'
  /** All of it. */
  | 'whole'

/** How much of a block the selector's link and relay saw in its time; of a way that nobody knows, all. */
export function exposureOf(selector: IncidentSelector, way: KnownWay | undefined): Exposure {
  if (way === undefined) return 'whole'
  if (!inRange(selector, way.sinceMs, way.untilMs)) return 'none'
  if (selector.link === undefined && selector.relay === undefined) return 'whole'
  const seen = way.shares.filter(paths => paths.some(path => crosses(selector, path, way.links)))
  if (seen.length === 0) return 'none'
  return seen.length === way.shares.length ? 'whole' : 'shares'
}

function crosses({ link, relay }: IncidentSelector, path: readonly string[], links: KnownWay['links']): boolean {
  if (relay !== undefined && !path.slice(1, -1).includes(relay)) return false
  if (link === undefined) return true
  return path.slice(1).some((site, at) => isLink(link, [path[at]!, site].sort(), links))
}

/** A hop of which nothing is known may be any link. */
function isLink(link: string, hop: readonly string[], links: KnownWay['links']): boolean {
  if (link.includes('/') && link.split('/').sort().join('/') === hop.join('/')) return true
  const mark = links.find(({ siteIds }) => siteIds.join('/') === hop.join('/'))
  return mark === undefined ? !link.includes('/') : mark.linkId === link
}
