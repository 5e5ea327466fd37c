import type { SchemaFault } from '../util/json-schema.ts'
import { checkBorder } from './border-config.ts'
import { checkConsole } from './console-config.ts'
import { checkEtsi014 } from './etsi014-config.ts'
import { checkLinkKind } from './link-config.ts'
import { checkNetwork } from './network-config.ts'
import type { SiteConfigFile } from './site-config.ts'
import { checkSkip } from './skip-config.ts'
import { checkStore } from './store-config.ts'

/** What no schema can say: IDs that meet twice, sites that nobody knows, fields that only go together. */
export function checkSiteConfig(config: SiteConfigFile): SchemaFault[] {
  return [
    ...checkPeers(config),
    ...checkSaes(config),
    ...checkEtsi014(config.etsi014, config.saes),
    ...checkConsole(config.console, { people: config.operators?.people?.length ?? 0 }),
    ...checkBorder(config.border, {
      saeIds: [...config.saes.map(({ saeId }) => saeId), ...config.peers.flatMap(saesOf)],
      kmeIds: [config.kmeId, ...config.peers.map(({ kmeId }) => kmeId)],
    }),
    ...checkSkip(config.skip, {
      own: config.saes.map(({ saeId }) => saeId),
      remote: [...config.peers.flatMap(saesOf), ...(config.border?.domains ?? []).flatMap(({ saes }) => saes)],
    }),
    ...checkLinks(config),
    ...checkNetwork(config.siteId, config.network),
    ...checkStore(config),
    ...checkKeys(config),
    ...checkPool(config),
  ]
}

/** True where this site opens the connection to the other: one of two must, and both must agree which. */
export function dials(localSiteId: string, remoteSiteId: string): boolean {
  return localSiteId < remoteSiteId
}

function checkPeers({ siteId, kmeId, peers }: SiteConfigFile): SchemaFault[] {
  const faults: SchemaFault[] = []
  const sites = new Map<string, string>()
  const kmes = new Map([[kmeId, '/kmeId']])
  for (const [index, peer] of peers.entries()) {
    const path = `/peers/${index}`
    if (peer.siteId === siteId) {
      faults.push({ path: `${path}/siteId`, message: `"${siteId}" is this site itself; list other sites only` })
    }
    pushIfTwice(faults, sites, peer.siteId, `${path}/siteId`)
    pushIfTwice(faults, kmes, peer.kmeId, `${path}/kmeId`)
    for (const field of ['host', 'port'] as const) {
      if (!dials(siteId, peer.siteId) || peer[field] !== undefined) continue
      const message = `field "${field}" is missing: site "${siteId}" sorts before "${peer.siteId}", so it opens the connection`
      faults.push({ path, message })
    }
  }
  return faults
}

/** Hosts that are reached by a peer, of its own and of other domains. */
function saesOf({ saes, foreignSaes = [] }: SiteConfigFile['peers'][number]): readonly string[] {
  return [...saes, ...foreignSaes]
}

function checkSaes({ saes, peers }: SiteConfigFile): SchemaFault[] {
  const faults: SchemaFault[] = []
  const seen = new Map<string, string>()
  const pinned = new Map<string, string>()
  for (const [index, sae] of saes.entries()) {
    pushIfTwice(faults, seen, sae.saeId, `/saes/${index}/saeId`)
    for (const field of ['fingerprint256', 'serialNumber'] as const) {
      const pin = sae[field]?.toLowerCase()
      if (pin !== undefined) pushIfTwice(faults, pinned, pin, `/saes/${index}/${field}`)
    }
  }
  for (const [index, peer] of peers.entries()) {
    for (const [at, saeId] of peer.saes.entries()) pushIfTwice(faults, seen, saeId, `/peers/${index}/saes/${at}`)
    for (const [at, saeId] of (peer.foreignSaes ?? []).entries()) {
      pushIfTwice(faults, seen, saeId, `/peers/${index}/foreignSaes/${at}`)
    }
  }
  return faults
}

function checkLinks({ siteId, peers, network, links, mlDsa }: SiteConfigFile): SchemaFault[] {
  const faults: SchemaFault[] = []
  const seen = new Map<string, string>()
  for (const [index, link] of links.entries()) {
    const path = `/links/${index}`
    pushIfTwice(faults, seen, link.linkId, `${path}/linkId`)
    faults.push(...checkLinkKind(link, path, { certified: mlDsa !== undefined }))
    const neighbours = new Set([...peers, ...(network?.nodes ?? [])].map(other => other.siteId))
    if (!neighbours.has(link.peerSiteId)) {
      const known = [...neighbours].join(', ') || 'none'
      faults.push({
        path: `${path}/peerSiteId`,
        message: `"${link.peerSiteId}" is not listed under /peers (${known}); add it there or correct the name`,
      })
    }
    const role = link.role ?? (dials(siteId, link.peerSiteId) ? 'connect' : 'listen')
    if (link.kind !== 'replay' && role === 'connect' && link.port === 0) {
      faults.push({
        path: `${path}/port`,
        message: 'must be the port of the other end, 1 to 65535, where this end connects',
      })
    }
  }
  return faults
}

function checkPool({ pool }: SiteConfigFile): SchemaFault[] {
  const { minBlocks, targetBlocks = 8 } = pool ?? {}
  if (minBlocks === undefined || minBlocks <= targetBlocks) return []
  return [{ path: '/pool/minBlocks', message: `minBlocks (${minBlocks}) <= targetBlocks (${targetBlocks}) must hold` }]
}

function checkKeys({ keys }: SiteConfigFile): SchemaFault[] {
  const { minKeySizeBits: min = 64, keySizeBits: size = 256, maxKeySizeBits: max = 4_096 } = keys ?? {}
  if (min <= size && size <= max) return []
  const message = `minKeySizeBits (${min}) <= keySizeBits (${size}) <= maxKeySizeBits (${max}) must hold`
  return [{ path: '/keys', message }]
}

function pushIfTwice(faults: SchemaFault[], seen: Map<string, string>, id: string, path: string): void {
  const first = seen.get(id)
  if (first === undefined) seen.set(id, path)
  else faults.push({ path, message: `"${id}" stands at ${first} already; each has one place` })
}
