/**
 * One node of a chain of relays as a process of its own, to be killed: `relay-site.ts CONFIG`. Links over TCP, nodes over
 * mutual TLS, link key in files. Before anything is sent the use of link key is written down, and at the ends each block
 * that is handed out, so that what a killed process did can be held against the others.
 */
import { createHash } from 'node:crypto'
import { openSync, readFileSync, writeSync } from 'node:fs'
import { dialTlsChannel } from '../../lib/channel/tls-dial.ts'
import { createTlsChannelListener } from '../../lib/channel/tls-listener.ts'
import { isKmeCertificate } from '../../lib/http/kme-identity.ts'
import type { CertificateIdentity } from '../../lib/interface/http.ts'
import type { Link } from '../../lib/interface/link.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { createSimulatedLinkConnector, createSimulatedLinkListener } from '../../lib/qll/simulated-link-tcp.ts'
import { FileLinkStock } from '../../lib/qnl/relay/file-link-stock.ts'
import { RelayNode } from '../../lib/qnl/relay/relay-node.ts'
import type { RelayLimits } from '../../lib/qnl/relay/relay-options.ts'
import { watchedChannel } from './frame-log.ts'
import { padUses } from './pad-recorder.ts'

/** What the process is told. */
export interface RelaySiteConfig {
  readonly siteId: string
  readonly siteIds: readonly string[]
  readonly nodePorts: Readonly<Record<string, number>>
  readonly linkPorts: Readonly<Record<string, number>>
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string }
  readonly rateBps: number
  readonly limits: Partial<RelayLimits>
  /** Relays announce. */
  readonly announce: boolean
  readonly stock: string
  /** Where uses of link key are written, and the blocks that were handed out. */
  readonly padLog: string
  readonly blockLog: string
}

const config = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as RelaySiteConfig
const { siteId, siteIds, nodePorts, linkPorts, tls, rateBps, limits } = config
const kmeOf = (site: string) => `kme-${site}`
const host = '127.0.0.1'
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 16)

const links: Link[] = []
for (const [linkId, port] of Object.entries(linkPorts)) {
  const ends = linkId.split('-')
  const [near, far] = ends[0] === siteId ? ends : [...ends].reverse()
  if (near !== siteId) continue
  const common = { linkId, localSiteId: siteId, remoteSiteId: far!, heartbeatMs: 200, host, port }
  if (near === ends[1]) links.push((await createSimulatedLinkListener({ ...common, rateBps })).link)
  else links.push(createSimulatedLinkConnector({ ...common, backOff: { minMs: 20, maxMs: 200 } }))
}
const padLog = openSync(config.padLog, 'a')
const watch = (channel: Parameters<RelayNode['accept']>[0], to: string) =>
  watchedChannel(channel, message => {
    // Written in one call before the message leaves: what a kill leaves of this process in the system's cache stays.
    const uses = padUses(message, siteId, to, digest)
    if (uses.length > 0) writeSync(padLog, uses.map(use => `${JSON.stringify(use)}\n`).join(''))
  })
const siteOf = (identity: CertificateIdentity) => siteIds.find(site => isKmeCertificate(identity, kmeOf(site)))
const partners = siteIds
  .filter(site => site !== siteId)
  .map(site => ({
    siteId: site,
    peerId: kmeOf(site),
    announce: config.announce,
    ...(siteId < site && {
      dial: async (signal: AbortSignal) => {
        const identify = (identity: CertificateIdentity) => (siteOf(identity) === site ? kmeOf(site) : undefined)
        const address = { host, port: nodePorts[site]! }
        const channel = await dialTlsChannel({
          ...tls,
          ...address,
          expectedPeerId: kmeOf(site),
          identify,
          signal,
          heartbeatMs: 300,
        })
        return watch(channel, site)
      },
    }),
  }))
const kek = SecretKey.adopt(Buffer.alloc(32, 7))
const stock = await FileLinkStock.open(config.stock, { kek })
const node = await new RelayNode({ siteId, links, partners, stock, limits }).open()
const [first, last] = [siteIds[0]!, siteIds.at(-1)!]
const demand = { mode: 'multipath' as const, weight: 1, rateBps }
const path = { sites: siteIds, linkIds: Object.keys(linkPorts), rateBps }
if (siteId === first) node.apply({ epoch: 1, gap: 0, demands: [{ ...demand, remoteSiteId: last, paths: [path] }] })
if (siteId === last) node.apply({ epoch: 1, gap: 0, demands: [{ ...demand, remoteSiteId: first, paths: [] }] })
await createTlsChannelListener({
  ...tls,
  host,
  port: nodePorts[siteId]!,
  heartbeatMs: 300,
  identify: identity => {
    const site = siteOf(identity)
    return site === undefined ? undefined : kmeOf(site)
  },
  onChannel: channel => node.accept(watch(channel, channel.peerId.slice('kme-'.length))),
}).listen()
console.log('ready')

if (siteId === first || siteId === last) {
  const blockLog = openSync(config.blockLog, 'a')
  const far = siteId === first ? last : first
  let after = 0n
  for (;;) {
    const { number, secret, trustClass, relays } = await node.nextBlock(far, { after })
    after = number
    const bytes = exportKey(secret)
    writeSync(blockLog, `${number} ${digest(bytes)} ${trustClass} ${relays.join('+')}\n`)
    bytes.fill(0)
    secret.wipe()
  }
}
