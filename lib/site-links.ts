import { createAccessKms } from './client/profile-kms.ts'
import type {
  Bb84LinkConfig,
  Etsi014LinkConfig,
  FreeSpaceLinkConfig,
  LinkConfig,
  PostQuantumLinkConfig,
  ReplayLinkConfig,
  SatelliteLinkConfig,
  SimulatedLinkConfig,
} from './config/link-config.ts'
import type { SiteConfig } from './config/site-config.ts'
import { requireKmeProfile } from './etsi014/kme-profile.ts'
import type { Link } from './interface/link.ts'
import type { Telemetry } from './interface/telemetry.ts'
import { createBb84LinkConnector, createBb84LinkListener } from './qll/bb84/link/bb84-link-tcp.ts'
import { designFibre } from './qll/bb84/link/fibre-design.ts'
import { openFirstRound } from './qll/bb84/link/first-round.ts'
import { createEtsi014Connector, createEtsi014Listener } from './qll/etsi014/etsi014-link.ts'
import { designFreeSpace, designSatellite, type LinkDesignOptions } from './qll/link-designs.ts'
import { createPostQuantumConnector, createPostQuantumListener } from './qll/post-quantum/post-quantum-link.ts'
import { createReplayLink } from './qll/replay/replay-link.ts'
import { createSimulatedLinkConnector, createSimulatedLinkListener } from './qll/simulated-link-tcp.ts'
import type { ListenAddress } from './util/listen.ts'

/** Blocks that a BB84 link has ready: a pool keeps the stock, and a link that fills buffers only burns processor time. */
const BB84_BUFFER_BLOCKS = 2

/** The same for devices: their key is scarce, and what a buffer holds is gone with the process. */
const DEVICE_BUFFER_BLOCKS = 2

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
  const opened = await openEnd(config, link, common)
  if (role === 'listen' && link.kind !== 'replay') listening[linkId] = { host, port: opened.port }
  return opened.link
}

/** What links of every kind are made from. */
type LinkEnds = Record<'linkId' | 'localSiteId' | 'remoteSiteId', string> & ListenAddress & { telemetry: Telemetry }

interface OpenedLink {
  readonly link: Link
  readonly port: number
}

async function openEnd(config: SiteConfig, link: LinkConfig, ends: LinkEnds): Promise<OpenedLink> {
  switch (link.kind) {
    case 'simulated':
      return await openRandomLink(link, ends)
    case 'post-quantum':
      return await openPostQuantumLink(config, link, ends)
    case 'etsi-014':
      return await openDeviceLink(config, link, ends)
    case 'replay':
      return await openReplayLink(link, ends)
    case 'bb84':
      return await openPhotonLink(config, link, { ...ends, ...designFibre(link) })
    case 'free-space':
      return await openPhotonLink(config, link, { ...ends, ...designFreeSpace(link) })
    case 'satellite':
      return await openPhotonLink(config, link, { ...ends, ...designSatellite(link) })
  }
}

async function openRandomLink({ role, rateBps }: SimulatedLinkConfig, ends: LinkEnds): Promise<OpenedLink> {
  const options = { ...ends, rateBps }
  if (role === 'listen') return await createSimulatedLinkListener(options)
  return { link: createSimulatedLinkConnector(options), port: ends.port }
}

/** Reads its own copy of what was recorded: it listens nowhere. */
async function openReplayLink({ directory, rateBps }: ReplayLinkConfig, ends: LinkEnds): Promise<OpenedLink> {
  const { linkId, localSiteId, remoteSiteId, telemetry, port } = ends
  return { link: await createReplayLink({ linkId, localSiteId, remoteSiteId, telemetry, directory, rateBps }), port }
}

async function openPostQuantumLink(
  config: SiteConfig,
  { role, rateBps, psk }: PostQuantumLinkConfig,
  ends: LinkEnds,
): Promise<OpenedLink> {
  const options = { ...ends, rateBps, bootstrap: await firstRoundOf(config, { psk, ...ends }) }
  if (role === 'listen') return await createPostQuantumListener(options)
  return { link: createPostQuantumConnector(options), port: ends.port }
}

async function openDeviceLink(
  config: SiteConfig,
  { role, device, psk }: Etsi014LinkConfig,
  ends: LinkEnds,
): Promise<OpenedLink> {
  const { saeId, peerSaeId, keysPerRequest = keysPerCall(device), keySizeBits, ...access } = device
  const bootstrap = await firstRoundOf(config, { psk, ...ends })
  const kms = createAccessKms(access, { saeId })
  const kme = {
    kms,
    peerSaeId,
    ...(keysPerRequest === undefined ? {} : { keysPerRequest }),
    ...(keySizeBits === undefined ? {} : { keySizeBits }),
  }
  const options = { ...ends, kme, bootstrap, bufferBlocks: DEVICE_BUFFER_BLOCKS, release: () => kms.close() }
  try {
    if (role === 'listen') return await createEtsi014Listener(options)
    return { link: createEtsi014Connector(options), port: ends.port }
  } catch (error) {
    await kms.close()
    throw error
  }
}

/** What the profile allows; a KME that knows GET alone takes one key_ID a call. */
function keysPerCall({ profile, method }: Etsi014LinkConfig['device']): number | undefined {
  const { maxPerRequest, method: usual } = requireKmeProfile(profile)
  return maxPerRequest ?? ((method ?? usual) === 'GET' ? 1 : undefined)
}

async function openPhotonLink(
  config: SiteConfig,
  { role, psk, photons }: Bb84LinkConfig | FreeSpaceLinkConfig | SatelliteLinkConfig,
  ends: LinkEnds & LinkDesignOptions,
): Promise<OpenedLink> {
  const options = {
    ...ends,
    bootstrap: await firstRoundOf(config, { psk, ...ends }),
    bufferBlocks: BB84_BUFFER_BLOCKS,
    ...(photons === undefined ? {} : { photons }),
  }
  if (role === 'listen') return await createBb84LinkListener(options)
  return { link: createBb84LinkConnector(options), port: ends.port }
}

function firstRoundOf({ mlDsa }: SiteConfig, { psk, remoteSiteId }: { psk: string | undefined; remoteSiteId: string }) {
  return openFirstRound({
    remoteSiteId,
    ...(psk === undefined ? {} : { psk }),
    ...(mlDsa === undefined ? {} : { identity: mlDsa }),
  })
}
