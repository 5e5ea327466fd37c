import { join } from 'node:path'
import type { SiteConfig } from '../../lib/index.ts'
import { createSite, DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../../lib/site.ts'
import { createTempDir } from '../../test/helpers/temp-dir.ts'
import { createTestAuthority, type TestCredentials } from '../../test/helpers/test-certificates.ts'
import { until } from '../../test/helpers/until.ts'
import { elapsedMs } from '../report.ts'
import { BenchProcess } from '../tls/bench-process.ts'

const listen = { host: '127.0.0.1', port: 0 }
const RATE_BPS = 2_000_000
const pool = { ...DEFAULT_POOL, targetBlocks: 16, minBlocks: 8 }

/** How large a star is. */
export interface StarSize {
  /** Hosts that are registered at the centre. */
  readonly saes: number
  /** Sites around it, each with a pool and a link of its own. */
  readonly peers: number
}

/** One site in a process of its own, with its store on disk, and the sites around it, in this process. */
export class Star implements AsyncDisposable {
  readonly process: BenchProcess
  /** How long the centre took from its configuration to its first answer, in milliseconds. */
  readonly startMs: number
  readonly port: number
  readonly #peers: readonly ServedSite[]
  readonly #issue: (name: string) => TestCredentials
  readonly #closables: readonly AsyncDisposable[]

  private constructor(parts: {
    process: BenchProcess
    startMs: number
    port: number
    peers: readonly ServedSite[]
    issue: (name: string) => TestCredentials
    closables: readonly AsyncDisposable[]
  }) {
    this.process = parts.process
    this.startMs = parts.startMs
    this.port = parts.port
    this.#peers = parts.peers
    this.#issue = parts.issue
    this.#closables = parts.closables
  }

  static async start({ saes, peers: count }: StarSize): Promise<Star> {
    const dir = await createTempDir()
    const authority = createTestAuthority()
    const issue = (name: string) => authority.issue(name)
    const hosts = Array.from({ length: saes }, (_, at) => ({ saeId: hostName(at) }))
    const peers: ServedSite[] = []
    for (let at = 0; at < count; at += 1)
      peers.push(
        await createSite(
          peerConfig(
            at,
            issue,
            hosts.map(({ saeId }) => saeId),
          ),
        ),
      )
    const process = new BenchProcess('../etsi014/site-process')
    const config: SiteConfig = {
      siteId: 'centre',
      kmeId: 'kme-centre',
      listen,
      peerListen: listen,
      tls: issue('kme-centre'),
      saes: hosts,
      etsi014: { maxConnections: 4_096 },
      peers: peers.map(({ siteId, address }, at) => ({
        siteId,
        kmeId: `kme-${siteId}`,
        saes: [farName(at)],
        ...address.peer,
      })),
      links: peers.map(({ siteId, address }) => ({
        linkId: `l-${siteId}`,
        kind: 'simulated',
        rateBps: RATE_BPS,
        peerSiteId: siteId,
        role: 'connect',
        host: '127.0.0.1',
        port: address.links[`l-${siteId}`]!.port,
      })),
      store: { kind: 'lmdb', path: join(dir.path, 'store'), kek: { file: join(dir.path, 'kek') } },
      audit: { file: join(dir.path, 'audit') },
      pool,
      keys: DEFAULT_KEYS,
    }
    let address: ServedSite['address'] | undefined
    const startMs = await elapsedMs(async () => {
      address = await process.ask<ServedSite['address']>({ site: config })
    })
    const closables = [
      process,
      { [Symbol.asyncDispose]: async () => void (await Promise.all(peers.map(peer => peer.close()))) },
      dir,
    ]
    return new Star({ process, startMs, port: address!.etsi014.port, peers, issue, closables })
  }

  /** Waits until each pool holds what it is to hold at the least. */
  async stocked(): Promise<void> {
    const isFull = (peer: ServedSite) => peer.status().pools[0]!.issuableCells >= (pool.minBlocks / 2 - 1) * 998
    await until(() => this.#peers.every(isFull), 'every pool is full', { timeoutMs: 120_000 })
  }

  /** What a host of the centre shows. */
  credentials(host: number): TestCredentials {
    return this.#issue(hostName(host))
  }

  /** A request that takes no key. */
  readonly statusRequest = `GET /api/v1/keys/${farName(0)}/status HTTP/1.1\r\nHost: localhost\r\n\r\n`

  /** The request for one key that `farName(peer)` is to fetch. */
  request(peer: number): string {
    return `GET /api/v1/keys/${farName(peer)}/enc_keys HTTP/1.1\r\nHost: localhost\r\n\r\n`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const closable of this.#closables) await closable[Symbol.asyncDispose]()
  }
}

function peerConfig(at: number, issue: (name: string) => TestCredentials, hosts: readonly string[]): SiteConfig {
  const siteId = `peer-${String(at).padStart(2, '0')}`
  return {
    siteId,
    kmeId: `kme-${siteId}`,
    listen,
    peerListen: listen,
    tls: issue(`kme-${siteId}`),
    saes: [{ saeId: farName(at) }],
    peers: [{ siteId: 'centre', kmeId: 'kme-centre', saes: hosts }],
    links: [
      { linkId: `l-${siteId}`, kind: 'simulated', rateBps: RATE_BPS, peerSiteId: 'centre', role: 'listen', ...listen },
    ],
    store: { kind: 'memory' },
    pool,
    keys: DEFAULT_KEYS,
  }
}

const hostName = (at: number): string => `host-${String(at).padStart(4, '0')}`
const farName = (at: number): string => `far-${String(at).padStart(2, '0')}`
