import type {
  FillView,
  LinkView,
  NetworkEvent,
  NetworkStatus,
  PairView,
  SiteView,
} from '../../interface/network-controller.ts'
import { drawTable, formatNumber, formatPercent, formatRate } from '../planner/table.ts'

/** The state of a running network as tables for a person; its JSON is for programs. */
export function describeNetworkStatus(status: NetworkStatus): string {
  const { controllerId, epoch, lambda, gap, planMs, planAgeMs, sites, links, pairs } = status
  const served = pairs.filter(({ grantedBps }) => grantedBps > 0)
  const total = served.reduce((sum, { grantedBps }) => sum + grantedBps, 0)
  const plan =
    planAgeMs === undefined
      ? 'none yet'
      : `epoch ${epoch}, ${formatNumber(planAgeMs / 1000)} s old, computed in ${formatNumber(planMs)} ms`
  const facts = [
    ['leads', controllerId],
    ['plan', plan],
    ['lambda', `${formatNumber(lambda)}, at most ${formatPercent(gap)} from the best`],
    ['served', `${served.length} of ${pairs.length} pairs, ${formatRate(total)} in all`],
  ]
  return [
    ...facts.map(([name, text]) => `${name!.padEnd(10)}${text}`),
    '',
    ...drawTable(['site', 'node', 'plan', 'last heard'], sites.map(siteRow)),
    '',
    ...drawTable(['link', 'between', 'state', 'load', 'of', 'in store'], links.map(linkRow)),
    '',
    ...drawTable(['pair', 'asked', 'granted', 'weight', 'over'], pairs.map(pairRow)),
  ].join('\n')
}

/** An event of the network in words. */
export function describeNetworkEvent(event: NetworkEvent): string {
  switch (event.type) {
    case 'plan': {
      const { epoch, lambda, gap, planMs, cause } = event
      return `plan ${epoch} in ${formatNumber(planMs)} ms (${cause}): lambda ${formatNumber(lambda)}, gap ${formatPercent(gap)}`
    }
    case 'site':
      return `site ${event.siteId} ${event.state}`
    case 'link':
      return `link ${event.linkId} ${event.state}${event.damped ? ', kept out for a while: it comes and goes' : ''}`
    case 'drain':
      if (event.state === 'back') return `link ${event.linkId} back in the plans`
      return `link ${event.linkId} ${event.state}${event.filled === false ? ', before all its pools were full' : ''}`
    case 'refused':
      return `site ${event.siteId} refused in part: ${event.reason}`
  }
}

function siteRow({ siteId, state, epoch, silentMs }: SiteView): string[] {
  return [siteId, state, String(epoch), silentMs === undefined ? 'never' : `${formatNumber(silentMs / 1000)} s ago`]
}

/** How far the pools are that are filled before maintenance of a link. */
export function describeFilling({ pairs, full, leftMs }: FillView): string {
  return `${full} of ${pairs} pools full, ${Math.ceil(leftMs / 1000)} s left`
}

function linkRow({ linkId, a, b, state, rateBps, loadBps, stockBits, damped, drain, filling }: LinkView): string[] {
  const way = filling === undefined ? drain : `${drain}: ${describeFilling(filling)}`
  const shown = [state, ...(damped ? ['damped'] : []), ...(way === undefined ? [] : [way])].join(', ')
  return [linkId, `${a} - ${b}`, shown, formatRate(loadBps), formatRate(rateBps), `${formatNumber(stockBits / 8e6)} MB`]
}

function pairRow({ a, b, askedBps, grantedBps, weight, paths, reason }: PairView): string[] {
  const over =
    reason ?? [...new Set(paths.map(({ sites }) => sites.slice(1, -1).join(' - ') || 'their link'))].join('; ')
  return [`${a} - ${b}`, formatRate(askedBps), formatRate(grantedBps), formatNumber(weight), over]
}
