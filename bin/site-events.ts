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
    case 'worker':
      return `worker ${event.state}: ${event.ready} of ${event.count} serve${because}`
    case 'alarm':
      return `alarm ${event.id} ${event.state} (${event.severity}): ${event.text}`
    default:
      return undefined
  }
}
