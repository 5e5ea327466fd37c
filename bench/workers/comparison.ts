import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SiteConfig } from '../../lib/index.ts'
import { DEFAULT_KEYS, DEFAULT_POOL, type ServedSite } from '../../lib/site.ts'
import { createTestAuthority } from '../../test/helpers/test-certificates.ts'
import { until } from '../../test/helpers/until.ts'
import type { LoadTarget } from '../etsi014/load-connection.ts'
import type { Slice, SliceResult } from '../etsi014/load-process.ts'
import { type BenchOptions, cpuTimeMs, interleave, median, percentile, type Report } from '../report.ts'
import { BenchProcess, type Usage } from '../tls/bench-process.ts'

const WORKERS = 2
const CONNECTIONS = 32
const listen = { host: '127.0.0.1', port: 0 }
const link = { kind: 'simulated', rateBps: 200_000_000, host: '127.0.0.1' } as const
/** Full before anything is asked, so that each slice finds the same. */
const pool = { ...DEFAULT_POOL, targetBlocks: 64, minBlocks: 64 }

/** What is asked of both sites in turn. */
interface Shape {
  readonly name: string
  readonly fresh: boolean
  readonly count: number
}

/** A site that is measured. */
interface Measured {
  readonly target: LoadTarget
  readonly process: BenchProcess
  readonly pids: readonly number[]
}

/** What one slice came to; processor time in microseconds a call. */
interface Outcome {
  readonly perSecond: number
  readonly ownerUs: number
  readonly workersUs: number
  readonly latenciesMs: readonly number[]
}

/** Compares the two, with connections that stay and with a fresh one for each call. */
export async function compare(report: Report, { quick }: BenchOptions): Promise<void> {
  await using bench = await open()
  const few = quick ? 0.1 : 1
  const slices = quick ? 2 : 7
  const shapes: readonly Shape[] = [
    { name: `enc_keys x1, keep-alive, c=${CONNECTIONS}`, fresh: false, count: 3_000 * few },
    { name: `enc_keys x1, fresh connections, c=${CONNECTIONS}`, fresh: true, count: 300 * few },
  ]
  for (const shape of shapes) {
    const [many, one]: [Outcome[], Outcome[]] = [[], []]
    const slice = async (server: Measured, into: Outcome[]) => {
      await bench.stocked(server, 2 * shape.count)
      into.push(await runSlice(bench.load, server, shape))
      return into.at(-1)!.perSecond
    }
    // Before anything counts, so that code and connections are warm.
    for (const server of [bench.workers, bench.alone]) await runSlice(bench.load, server, shape)
    const { ratio } = await interleave(slices, {
      a: () => slice(bench.workers, many),
      b: () => slice(bench.alone, one),
    })
    const samples = slices * shape.count
    const of = (outcomes: readonly Outcome[], pick: (outcome: Outcome) => number) => median(outcomes.map(pick))
    const perSecond = { value: of(many, o => o.perSecond), baseline: of(one, o => o.perSecond), ratio }
    report({ metric: `${shape.name}, ${WORKERS} workers`, unit: '1/s', ...perSecond, samples })
    const tell = (metric: string, unit: string, value: number, baseline: number) =>
      report({ metric, unit, value, baseline, ratio: value / baseline, samples })
    for (const [name, fraction] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      const at = (outcomes: readonly Outcome[]) =>
        percentile(
          outcomes.flatMap(o => o.latenciesMs),
          fraction,
        )
      tell(`  ${name}`, 'ms', at(many), at(one))
    }
    const alone = of(one, o => o.ownerUs)
    tell(
      '  processor time of the owner, a call',
      'us',
      of(many, o => o.ownerUs),
      alone,
    )
    tell(
      '  processor time of the workers, a call',
      'us',
      of(many, o => o.workersUs),
      alone,
    )
    tell(
      '  processor time of all, a call',
      'us',
      of(many, o => o.ownerUs + o.workersUs),
      alone,
    )
  }
}

async function runSlice(load: BenchProcess, { target, process, pids }: Measured, shape: Shape): Promise<Outcome> {
  const { fresh, count } = shape
  const used = async () => {
    const workersMs = pids.reduce((sum, pid) => sum + (cpuTimeMs(pid) ?? 0), 0)
    return { ownerUs: (await process.ask<Usage>({ usage: 'cpu' })).cpuUs, workersUs: workersMs * 1_000 }
  }
  const request = 'GET /api/v1/keys/bob/enc_keys?number=1 HTTP/1.1\r\nhost: kme\r\naccept: application/json\r\n\r\n'
  const slice: Slice = { target, requests: [request], count, connections: CONNECTIONS, fresh, keep: false }
  const before = await used()
  const { elapsedMs, latenciesMs } = await load.ask<SliceResult>(slice)
  const after = await used()
  return {
    perSecond: (count / elapsedMs) * 1_000,
    ownerUs: (after.ownerUs - before.ownerUs) / count,
    workersUs: (after.workersUs - before.workersUs) / count,
    latenciesMs,
  }
}

interface Bench extends AsyncDisposable {
  readonly alone: Measured
  readonly workers: Measured
  readonly load: BenchProcess
  /** Waits until the site has so many cells to issue. */
  stocked(server: Measured, cells: number): Promise<void>
}

/** Two sites that are alike but for the workers, both with a pool to the same third one, and the caller. */
async function open(): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'qkdkit-bench-'))
  const authority = createTestAuthority()
  const configOf = (siteId: string, saeId: string): Omit<SiteConfig, 'peers' | 'links'> => ({
    siteId,
    kmeId: `kme-${siteId}`,
    listen,
    peerListen: listen,
    tls: authority.issue(`kme-${siteId}`),
    saes: [{ saeId }],
    store: { kind: 'lmdb', path: join(dir, siteId), kek: { file: join(dir, `${siteId}.kek`) } },
    pool,
    keys: DEFAULT_KEYS,
  })
  const load = new BenchProcess('../etsi014/load-process')
  const [far, alone, workers] = [0, 1, 2].map(() => new BenchProcess('../workers/site-process')) as [
    BenchProcess,
    BenchProcess,
    BenchProcess,
  ]
  const close = async () => {
    for (const started of [load, alone, workers, far]) await started[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const near = [
      { siteId: 'site-a', saeId: 'alice' },
      { siteId: 'site-b', saeId: 'amy' },
    ] as const
    const { peer, links } = await far.ask<ServedSite['address']>({
      site: {
        ...configOf('site-c', 'bob'),
        peers: near.map(({ siteId, saeId }) => ({ siteId, kmeId: `kme-${siteId}`, saes: [saeId] })),
        links: near.map(({ siteId }) => ({
          ...link,
          linkId: `${siteId}-c`,
          peerSiteId: siteId,
          role: 'listen',
          port: 0,
        })),
      } satisfies SiteConfig,
    })
    const measured = await Promise.all(
      near.map(async ({ siteId, saeId }, at): Promise<Measured> => {
        const process = at === 0 ? alone : workers
        const port = links[`${siteId}-c`]!.port
        const { etsi014 } = await process.ask<ServedSite['address']>({
          site: {
            ...configOf(siteId, saeId),
            ...(process === workers && { workers: WORKERS }),
            peers: [{ siteId: 'site-c', kmeId: 'kme-site-c', saes: ['bob'], ...peer }],
            links: [{ ...link, linkId: `${siteId}-c`, peerSiteId: 'site-c', role: 'connect', port }],
          } satisfies SiteConfig,
        })
        const { pids } = await process.ask<{ pids: readonly number[] }>({ pids: true })
        return { target: { port: etsi014.port, ...authority.issue(saeId) }, process, pids }
      }),
    )
    return {
      alone: measured[0]!,
      workers: measured[1]!,
      load,
      stocked: ({ process }, cells) =>
        until(async () => (await process.ask<{ cells: number }>({ stored: true })).cells >= cells, `${cells} cells`, {
          timeoutMs: 60_000,
        }),
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
