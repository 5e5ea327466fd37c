import type { EndIdentity } from './quantum-wire.ts'

/** Why the two ends can't be those of one link, in words that name both sides' values; undefined if they can. */
export function identityMismatch(own: EndIdentity, theirs: EndIdentity): string | undefined {
  if (theirs.linkId !== own.linkId) return `The other end is of link "${theirs.linkId}", this one of "${own.linkId}"`
  if (theirs.siteId !== own.peerSiteId) {
    return `The other end is at site "${theirs.siteId}", where "${own.peerSiteId}" is expected`
  }
  if (theirs.peerSiteId !== own.siteId) {
    return `The other end expects site "${theirs.peerSiteId}", and this one is "${own.siteId}"`
  }
  if (theirs.blockSizeBytes !== own.blockSizeBytes) {
    return `The other end has blocks of ${theirs.blockSizeBytes} bytes, this one of ${own.blockSizeBytes}`
  }
  if (own.rateBps !== 0 && theirs.rateBps !== 0 && theirs.rateBps !== own.rateBps) {
    return `The other end names a rate of ${theirs.rateBps} b/s, this one ${own.rateBps}`
  }
  return undefined
}
