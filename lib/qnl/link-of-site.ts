import { InvalidArgumentError } from '../errors.ts'
import type { Link } from '../interface/link.ts'
import { BLOCK_BYTES } from '../key/cells.ts'

/**
 * Checks that a network node at a site can take a link.
 * @param other the link that it has to the same site, if any
 * @throws {InvalidArgumentError} the link ends elsewhere, has blocks of another size, or is the second one to a site
 */
export function requireLinkOf(siteId: string, link: Link, other: { readonly linkId: string } | undefined): void {
  const { linkId, localSiteId, remoteSiteId } = link
  if (localSiteId !== siteId)
    throw new InvalidArgumentError(`Link "${linkId}" ends at site "${localSiteId}", and this QNL is at "${siteId}"`)
  const { blockSizeBytes } = link.status()
  if (blockSizeBytes !== BLOCK_BYTES) {
    throw new InvalidArgumentError(
      `Link "${linkId}" has blocks of ${blockSizeBytes} bytes; a pool takes blocks of ${BLOCK_BYTES}`,
    )
  }
  if (other === undefined) return
  throw new InvalidArgumentError(
    `Links "${other.linkId}" and "${linkId}" both lead to site "${remoteSiteId}"; one link to a site is supported`,
  )
}
