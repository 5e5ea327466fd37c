/**
 * One large site: thousands of registered hosts and open connections, pools to forty other sites. What it takes to start, to
 * stand by and to answer, and that nothing in it grows with the keys that went out.
 */
import { delay } from '../lib/util/deadline.ts'
import { LoadConnection } from './etsi014/load-connection.ts'
import { type BenchOptions, cpuTimeMs, elapsedMs, median, percentile, type Report } from './report.ts'
import { Star } from './scale/star.ts'
import type { Usage } from './tls/bench-process.ts'

/** Requests under way at once, over all connections. */
const CONCURRENCY = 32
/** Connections that are opened at once. */
const DIALS = 16
/** Keys of each of the two rounds between which the memory is compared. */
const KEYS = 40_000

export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const size = quick ? { saes: 200, peers: 4 } : { saes: 5_000, peers: 40 }
  const connections = quick ? 50 : 2_000
  const keys = quick ? 500 : KEYS
  const name = `${size.saes} hosts, ${size.peers} pools`
  await using star = await Star.start(size)
  report({ metric: `${name}: start`, value: star.startMs, unit: 'ms', samples: 1 })
  await star.stocked()
  report({ metric: `${name}: memory`, value: await memoryMiB(star), unit: 'MiB' })
  report({ metric: `${name}: idle, of a core`, value: await idlePercent(star, quick ? 2_000 : 30_000), unit: '%' })
  const open: LoadConnection[] = []
  const dialMs = await elapsedMs(() => dialAll(star, connections, open))
  report({
    metric: `${connections} connections: opened, with a first request`,
    value: (connections / dialMs) * 1000,
    unit: '1/s',
  })
  report({ metric: `${connections} connections: memory`, value: await memoryMiB(star), unit: 'MiB' })
  report({
    metric: `${connections} connections: idle, of a core`,
    value: await idlePercent(star, quick ? 2_000 : 30_000),
    unit: '%',
  })
  try {
    const waits = await askAll(star, open, { keys, peers: size.peers })
    report({ metric: `${connections} connections: answer, median`, value: median(waits), unit: 'ms', samples: keys })
    report({
      metric: `${connections} connections: answer, p99`,
      value: percentile(waits, 0.99),
      unit: 'ms',
      samples: keys,
    })
    // Pools, caches and counters have all come to their size by then.
    await askAll(star, open, { keys, peers: size.peers })
    const before = await heldBytes(star)
    await askAll(star, open, { keys, peers: size.peers })
    const perKey = ((await heldBytes(star)) - before) / keys
    report({ metric: 'memory that stays, a key', value: perKey, unit: 'B', samples: keys })
  } finally {
    for (const connection of open) connection.close()
  }
}

async function memoryMiB(star: Star): Promise<number> {
  return (await star.process.ask<Usage>({ usage: 'memory' })).rssBytes / 2 ** 20
}

async function heldBytes(star: Star): Promise<number> {
  return (await star.process.ask<Usage>({ usage: 'memory' })).heldBytes
}

async function idlePercent(star: Star, ms: number): Promise<number> {
  const before = cpuTimeMs(star.process.pid)!
  const start = performance.now()
  await delay(ms)
  return ((cpuTimeMs(star.process.pid)! - before) / (performance.now() - start)) * 100
}

async function dialAll(star: Star, count: number, open: LoadConnection[]): Promise<void> {
  const targets = Array.from({ length: count }, (_, host) => ({ port: star.port, ...star.credentials(host) }))
  let next = 0
  const dial = async () => {
    while (next < count) {
      const connection = await LoadConnection.open(targets[next++]!)
      // A connection on which nothing is asked is closed soon, and one on which something was not.
      await connection.ask(star.statusRequest, false)
      open.push(connection)
    }
  }
  await Promise.all(Array.from({ length: DIALS }, dial))
}

/** One key at a time from each of `CONCURRENCY` connections in turn; how long each took, in milliseconds. */
async function askAll(
  star: Star,
  open: readonly LoadConnection[],
  { keys, peers }: { keys: number; peers: number },
): Promise<number[]> {
  const waits: number[] = []
  let next = 0
  const ask = async (caller: number) => {
    // Each caller has connections of its own: one request at a time on each.
    const own = open.filter((_, at) => at % CONCURRENCY === caller)
    for (let turn = 0; next < keys; turn += 1) {
      const call = next++
      waits.push(await elapsedMs(() => own[turn % own.length]!.ask(star.request(call % peers), false)))
    }
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, open.length) }, (_, caller) => ask(caller)))
  return waits
}
