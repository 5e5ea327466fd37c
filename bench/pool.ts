/**
 * The pool over each store: keys issued and retrieved a second, how fast it fills, and what a large one costs to open and to
 * keep.
 */
import { createTempDir } from '../test/helpers/temp-dir.ts'
import { runLargeStore } from './pool/large-stores.ts'
import { type OpenKeep, openLmdbKeep, openMemoryKeep, StockedPools } from './pool/stocked-pools.ts'
import { type BenchOptions, callsPerSecond, type Report } from './report.ts'

const KEEPS: readonly (readonly [string, OpenKeep])[] = [
  ['memory', openMemoryKeep],
  ['LMDB', openLmdbKeep],
]

/** How many ask at once, and for how many keys in all. */
const LOADS = [
  { callers: 1, keys: 3_000 },
  { callers: 64, keys: 100_000 },
]
const QUICK_LOADS = [
  { callers: 1, keys: 200 },
  { callers: 64, keys: 2_000 },
]

export async function run(report: Report, options: BenchOptions): Promise<void> {
  // Pools alone keep no process alive.
  const alive = setInterval(() => {}, 60_000)
  try {
    for (const [name, openKeep] of KEEPS) await runRates(report, { name, openKeep, ...options })
    const opens = options.quick ? 3 : 30
    for (const cells of options.quick ? [1e5] : [1e6, 1e7]) await runLargeStore(report, { cells, opens })
  } finally {
    clearInterval(alive)
  }
}

async function runRates(
  report: Report,
  { name, openKeep, quick }: BenchOptions & { name: string; openKeep: OpenKeep },
): Promise<void> {
  await using dir = await createTempDir()
  await using pools = await StockedPools.fill(openKeep, { directory: dir.path, blocks: quick ? 100 : 600 })
  report({ metric: `${name}: cells filled`, value: (pools.cells / pools.fillMs) * 1000, unit: '1/s' })
  for (const { callers, keys } of quick ? QUICK_LOADS : LOADS) {
    const keyIds: string[] = []
    const issue = async () => {
      const { keyId, secret } = await pools.issue()
      secret.wipe()
      keyIds.push(keyId)
    }
    const issued = await callsPerSecond(keys, callers, issue)
    report({ metric: `${name}: issues, ${callers} callers`, value: issued, unit: '1/s', samples: keys })
    const retrieved = await callsPerSecond(keys, callers, call => pools.retrieve(keyIds[call]!))
    report({ metric: `${name}: retrieves, ${callers} callers`, value: retrieved, unit: '1/s', samples: keys })
  }
}
