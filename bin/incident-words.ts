import type { BlastRadius, IncidentView, KeyHolder } from '../lib/index.ts'

/** An incident in words: what it is about, and where it stands. */
export function describeIncident(view: IncidentView): string {
  const { id, state, about, by, reason, openedAtMs, originSiteId, effect, sites } = view
  const blocks = effect.blocks === 0 ? '' : `, ${effect.blocks} blocks here`
  const erased = effect.erased === 0 ? '' : `, ${effect.erased} of them erased by this site`
  return [
    `${id} ${state}: ${about}${reason === undefined ? '' : ` (${reason})`}`,
    `  declared at ${originSiteId} by ${by}, ${new Date(openedAtMs).toISOString()}${blocks}${erased}`,
    ...sites.map(site =>
      site.state === 'told'
        ? `  ${site.siteId}: holds to it, ${site.effect?.blocks ?? 0} blocks, ${site.effect?.erased ?? 0} erased there`
        : `  ${site.siteId}: NOT TOLD, ${site.reason}; it is told as soon as it can be reached`,
    ),
  ].join('\n')
}

/** How far an incident reaches, in words: what is lost first. */
export function describeRadius({ about, siteIds, keys, blocks, unknownKeyIds }: BlastRadius): string {
  const lost = keys.filter(({ isProtected }) => !isProtected)
  const safe = keys.filter(({ isProtected }) => isProtected)
  const unissued = blocks.filter(({ state }) => !['drained', 'dropped', 'reset'].includes(state))
  const section = (title: string, list: typeof keys) =>
    list.length === 0
      ? []
      : [
          title,
          ...list.map(
            ({ keyId, level, trustClass, protectedBy, holders }) =>
              `  ${keyId} ${level ?? 'of no known level'}, ${trustClass ?? 'of no known class'}${
                protectedBy === undefined ? '' : `, protected by ${protectedBy}`
              }: ${holders.map(describeHolder).join('; ')}`,
          ),
        ]
  return [
    `${about}, by the logs of ${siteIds.join(' and ') || 'nobody'}:`,
    `${lost.length} keys are exposed, ${safe.length} are affected and protected; ${blocks.length} blocks, of which ${unissued.length} may hold key that is not issued`,
    ...section('Exposed:', lost),
    ...section('Protected:', safe),
    ...(unknownKeyIds.length === 0
      ? []
      : [`Of ${unknownKeyIds.length} more keys the logs don't say how their blocks came:`]),
    ...unknownKeyIds.map(keyId => `  ${keyId}`),
  ].join('\n')
}

function describeHolder({ saeId, sinceMs, inUseSinceMs, retiredAtMs, use }: KeyHolder): string {
  const time = (atMs: number) => new Date(atMs).toISOString()
  const has = sinceMs === undefined ? 'may have it' : `has it since ${time(sinceMs)}`
  if (retiredAtMs !== undefined) return `${saeId} ${has}, retired ${time(retiredAtMs)} (${use})`
  return `${saeId} ${has}${inUseSinceMs === undefined ? '' : `, IN USE since ${time(inUseSinceMs)} (${use})`}`
}
