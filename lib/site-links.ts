import type { Bb84LinkConfig, LinkConfig, SimulatedLinkConfig } from './config/link-config.ts'
import type { SiteConfig } from './config/site-config.ts'
import type { Link } from './interface/link.ts'
import type { Telemetry } from './interface/telemetry.ts'
import { createBb84LinkConnector, createBb84LinkListener } from './qll/bb84/link/bb84-link-tcp.ts'
import { designFibre } from './qll/bb84/link/fibre-design.ts'
import { openFirstRound } from './qll/bb84/link/first-round.ts'
import { createSimulatedLinkConnector, createSimulatedLinkListener } from './qll/simulated-link-tcp.ts'
import type { ListenAddress } from './util/listen.ts'

/** Blocks that a BB84 link has ready: a pool keeps the stock, and a link that fills buffers only burns processor time. */
const BB84_BUFFER_BLOCKS = 4

/** Where a link end reports, and where it tells the port that it waits at. */
export interface LinkSurroundings {
  readonly telemetry: Telemetry
  readonly listening: Record<string, ListenAddress>
}

/**
 * One end of a link as the configuration has it.
 * @throws {ConfigError} the key that proves its first round can't be used
 * @throws {LinkDownError} it can't listen where it shall
 */
export async function openLink(config: SiteConfig, link: LinkConfig, surroundings: LinkSurroundings): Promise<Link> {
  const { linkId, peerSiteId, role, host, port } = link
  const { telemetry, listening } = surroundings
  const common = { linkId, localSiteId: config.siteId, remoteSiteId: peerSiteId, host, port, telemetry }
  const opened =
    link.kind === 'simulated' ? await openRandomLink(link, common) : await openBb84Link(config, link, common)
  if (role === 'listen') listening[linkId] = { host, port: opened.port }
  return opened.link
}

/** What both kinds of link are made from. */
type LinkEnds = Record<'linkId' | 'localSiteId' | 'remoteSiteId', string> & ListenAddress & { telemetry: Telemetry }

async function openRandomLink(
  { role, rateBps }: SimulatedLinkConfig,
  ends: LinkEnds,
): Promise<{ link: Link; port: number }> {
  const options = { ...ends, rateBps }
  if (role === 'listen') return await createSimulatedLinkListener(options)
  return { link: createSimulatedLinkConnector(options), port: ends.port }
}

async function openBb84Link(
  { mlDsa }: SiteConfig,
  { role, psk, photons, ...design }: Bb84LinkConfig,
  ends: LinkEnds,
): Promise<{ link: Link; port: number }> {
  const { remoteSiteId } = ends
  const bootstrap = await openFirstRound({
    remoteSiteId,
    ...(psk === undefined ? {} : { psk }),
    ...(mlDsa === undefined ? {} : { identity: mlDsa }),
  })
  const options = {
    ...ends,
    ...designFibre(design),
    bootstrap,
    bufferBlocks: BB84_BUFFER_BLOCKS,
    ...(photons === undefined ? {} : { photons }),
  }
  if (role === 'listen') return await createBb84LinkListener(options)
  return { link: createBb84LinkConnector(options), port: ends.port }
}
