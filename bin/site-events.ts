import type { TelemetryEvent } from '../lib/index.ts'

/** An event of a site in words, for whoever watches it run; undefined for what happens with every key. */
export function describeEvent(event: TelemetryEvent): string | undefined {
  const because = 'reason' in event && event.reason !== undefined ? `: ${event.reason}` : ''
  switch (event.type) {
    case 'peer':
      return `peer ${event.peerSiteId} ${event.state}${because}`
    case 'pair-secret':
      return `secret with ${event.peerSiteId} ${event.outcome === 'refreshed' ? 'refreshed' : `not refreshed (${event.outcome})`}, epoch ${event.epoch}${because}`
    case 'link':
      return `link ${event.linkId} ${event.state}${because}`
    case 'policy':
      return event.outcome === 'in-force'
        ? `policy in force: ${event.rules} rules`
        : `policy refused, the one before stays in force: ${event.reason}`
    case 'pool-resync':
      return event.side === 'local'
        ? `pool with ${event.peerSiteId}: this store was put back and is made good, ${event.blocksKept} blocks go on, ${event.blocksDropped} went, ${event.lostCells} cells lost`
        : `pool with ${event.peerSiteId}: its store was put back; what was under lease here is burned`
    case 'pool-reset':
      return `pool with ${event.peerSiteId} begins anew in epoch ${event.poolEpoch}, ${event.lostCells} cells lost${because}`
    case 'worker':
      return `worker ${event.state}: ${event.ready} of ${event.count} serve${because}`
    case 'replica':
      return describeReplica(event)
    case 'alarm':
      return `alarm ${event.id} ${event.state} (${event.severity}): ${event.text}`
    case 'alarm-state':
      // That its cause is there, or gone, was said before.
      return event.state === 'acknowledged' ? `alarm ${event.id}: ${event.operator} sees to it` : undefined
    case 'alarm-delivery':
      return event.outcome === 'delivered' ? undefined : `alarm not told by ${event.sink} (${event.outcome})${because}`
    default:
      return undefined
  }
}

function describeReplica({ role, epoch, ownerId }: Extract<TelemetryEvent, { type: 'replica' }>): string {
  if (role === 'owner') return `this replica owns the pools of the site, in epoch ${epoch}`
  return role === 'follower'
    ? `replica ${ownerId} owns the pools of the site, in epoch ${epoch}`
    : 'no replica that is known here owns the pools of the site'
}
