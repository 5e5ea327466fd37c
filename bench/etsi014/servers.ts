import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PolicyFile, SiteConfig } from '../../lib/index.ts'
import { DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../../lib/site.ts'
import { createTestAuthority } from '../../test/helpers/test-certificates.ts'
import { until } from '../../test/helpers/until.ts'
import { BenchProcess } from '../tls/bench-process.ts'
import type { LoadTarget } from './load-connection.ts'

/** A server that is measured: where it is called, and the process whose time it costs. */
export interface MeasuredServer {
  readonly target: LoadTarget
  readonly process: BenchProcess
}

/** Both sites of a pair, the bare server beside them, and the caller. */
export interface Servers extends AsyncDisposable {
  /** KMS-1 as alice calls it. */
  readonly master: MeasuredServer
  /** KMS-2 as bob calls it. */
  readonly slave: MeasuredServer
  readonly bare: MeasuredServer
  readonly load: BenchProcess
  /** Waits until KMS-1 has so many cells to issue. */
  stocked(cells: number): Promise<void>
}

const listen = { host: '127.0.0.1', port: 0 }
const link = { linkId: 'a-b', kind: 'simulated', rateBps: 200_000_000, host: '127.0.0.1' } as const
/** Blocks of 1,000 keys in both directions: several times what a slice draws. */
const TARGET_BLOCKS = 128

/** Full before anything is asked, so that each slice finds the same. */
const pool = { ...DEFAULT_POOL, targetBlocks: TARGET_BLOCKS, minBlocks: TARGET_BLOCKS }

/** Rules of a site with some customers; the last one holds for the hosts that are measured. */
const policy: PolicyFile = {
  groups: { measured: { saes: ['alice', 'bob'] } },
  rules: [
    ...Array.from({ length: 20 }, (_, n) => ({
      name: `customer ${n}`,
      match: { master: [`customer-${n}-*`], peerSite: ['site-b'] },
      rate: { bitsPerSecond: 1e6, burstBits: 1e6 },
    })),
    {
      name: 'measured hosts',
      match: { master: ['@measured'] },
      rate: { bitsPerSecond: 1e10, burstBits: 1e12 },
      maxUnfetchedKeys: 1_000_000_000,
    },
  ],
  otherwise: 'deny',
}

/** Starts everything. The stores and audit logs lie in a temporary folder, on the disk that the system has it on. */
export async function startServers(): Promise<Servers> {
  const dir = await mkdtemp(join(tmpdir(), 'qkdkit-bench-'))
  const authority = createTestAuthority()
  const siteConfig = (siteId: string, saeId: string): Omit<SiteConfig, 'peers' | 'links'> => ({
    siteId,
    kmeId: `kme-${siteId}`,
    listen,
    peerListen: listen,
    tls: authority.issue(`kme-${siteId}`),
    saes: [{ saeId }],
    store: { kind: 'lmdb', path: join(dir, siteId), kek: { file: join(dir, `${siteId}.kek`) } },
    audit: { file: join(dir, `${siteId}.audit`) },
    policy,
    pool,
    keys: DEFAULT_KEYS,
  })
  const processes = ['../etsi014/site-process', '../etsi014/site-process', '../etsi014/bare-process'].map(
    name => new BenchProcess(name),
  )
  const load = new BenchProcess('../etsi014/load-process')
  const [siteB, siteA, bareProcess] = processes as [BenchProcess, BenchProcess, BenchProcess]
  const close = async () => {
    for (const started of [load, ...processes]) await started[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const b = await siteB.ask<ServedSite['address']>({
      site: {
        ...siteConfig('site-b', 'bob'),
        peers: [{ siteId: 'site-a', kmeId: 'kme-site-a', saes: ['alice'] }],
        links: [{ ...link, peerSiteId: 'site-a', role: 'listen', port: 0 }],
      } satisfies SiteConfig,
    })
    const a = await siteA.ask<ServedSite['address']>({
      site: {
        ...siteConfig('site-a', 'alice'),
        peers: [{ siteId: 'site-b', kmeId: 'kme-site-b', saes: ['bob'], ...b.peer }],
        links: [{ ...link, peerSiteId: 'site-b', role: 'connect', port: b.links['a-b']!.port }],
      } satisfies SiteConfig,
    })
    const bare = await bareProcess.ask<{ port: number }>({ credentials: authority.issue('bare') })
    const [alice, bob] = [authority.issue('alice'), authority.issue('bob')]
    return {
      master: { target: { port: a.etsi014.port, ...alice }, process: siteA },
      slave: { target: { port: b.etsi014.port, ...bob }, process: siteB },
      bare: { target: { port: bare.port, ...alice }, process: bareProcess },
      load,
      stocked: cells =>
        until(async () => (await siteA.ask<{ cells: number }>({ stored: true })).cells >= cells, `${cells} cells`, {
          timeoutMs: 60_000,
        }),
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
