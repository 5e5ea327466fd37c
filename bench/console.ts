import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { readPageFiles } from '../lib/console/page-files.ts'
import { openBrowser } from '../test/helpers/browser.ts'
import { openConsoleSites } from '../test/helpers/console-sites.ts'
import { findProgram } from '../test/helpers/peer-program.ts'
import { type BenchOptions, cpuTimeMs, interleave, median, type Report } from './report.ts'

/**
 * What the console costs: the size of its page, and shares of a core with one browser that watches a site of three under load. What the
 * server costs is the difference between slices with the page open and slices without, in turn; what the page costs is all that
 * the browser's processes use while it is open.
 */
export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const files = [...(await readPageFiles()).values()]
  const bytes = files.reduce((all, { gzip }) => all + gzip.byteLength, 0)
  report({ metric: 'the page with gzip', value: bytes / 1e3, unit: 'kB', samples: files.length })
  const chromium = findProgram('chromium')
  if (chromium === undefined) throw new Error('chromium is not installed (Debian package chromium)')
  const hosts = { a: ['alice'], b: ['bob'], c: ['carl'] }
  await using sites = await openConsoleSites({ hosts, console: { host: '127.0.0.1', port: 0 } })
  await using browser = await openBrowser(chromium)
  const ending = new AbortController()
  const loads = (['bob', 'carl'] as const).map(async slave => {
    while (!ending.signal.aborted) {
      await sites
        .host('alice')
        .getKey(slave)
        .catch(() => {})
      await sleep(100, undefined, { signal: ending.signal }).catch(() => {})
    }
  })
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
  const browserShares: number[] = []
  const sliceMs = quick ? 3_000 : 10_000
  const slice = async (url: string) => {
    await page.goto(url)
    // What it costs to load is not what it costs to watch.
    await sleep(2_000)
    const before = { own: ownCpuMs(), browser: browserCpuMs(), atMs: performance.now() }
    await sleep(sliceMs)
    const passedMs = performance.now() - before.atMs
    if (url !== 'about:blank') browserShares.push(((browserCpuMs() - before.browser) / passedMs) * 100)
    return ((ownCpuMs() - before.own) / passedMs) * 100
  }
  const { a, b } = await interleave(quick ? 1 : 5, {
    a: () => slice(sites.sites.a.address.console!.url),
    b: () => slice('about:blank'),
  })
  const difference = median(a.map((value, at) => value - b[at]!))
  const samples = a.length
  report({
    metric: 'three sites in one process, with one browser',
    value: median(a),
    unit: '% of a core',
    baseline: median(b),
    samples,
  })
  report({ metric: 'the console of one of them, one browser', value: difference, unit: '% of a core', samples })
  report({ metric: 'the page in headless Chromium', value: median(browserShares), unit: '% of a core', samples })
  ending.abort()
  await Promise.all(loads)
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e3
}

/** Of all processes that this one has started, and of theirs. */
function browserCpuMs(): number {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const [, parent] = /\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))!
      parents.set(Number(name), Number(parent))
    } catch {
      // It has ended since.
    }
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (parents.get(pid) === process.pid || isBelow(parents.get(pid)))
  return [...parents.keys()].filter(isBelow).reduce((all, pid) => all + (cpuTimeMs(pid) ?? 0), 0)
}
