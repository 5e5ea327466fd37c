/**
 * The pool over each store: keys issued and retrieved a second, how fast it fills, and what a large one costs to open and to
 * keep.
 */
import { createTempDir } from '../test/helpers/temp-dir.ts'
import { runLargeStore } from './pool/large-stores.ts'
import { startPostgresKeeps } from './pool/postgres-keep.ts'
import { type OpenKeep, openLmdbKeep, openMemoryKeep, StockedPools } from './pool/stocked-pools.ts'
import { type BenchOptions, callsPerSecond, type Report } from './report.ts'

const KEEPS: readonly (readonly [string, OpenKeep])[] = [
  ['memory', openMemoryKeep],
  ['LMDB', openLmdbKeep],
]

/** Blocks of the two pools together, and how many ask at once for how many keys in all. */
interface Load {
  readonly blocks: number
  readonly rounds: readonly { readonly callers: number; readonly keys: number }[]
}

const LOAD: Load = {
  blocks: 600,
  rounds: [
    { callers: 1, keys: 3_000 },
    { callers: 64, keys: 100_000 },
  ],
}
/** Each turn is a round trip more. */
const POSTGRES_LOAD: Load = {
  blocks: 200,
  rounds: [
    { callers: 1, keys: 500 },
    { callers: 64, keys: 20_000 },
  ],
}
const QUICK_LOAD: Load = {
  blocks: 100,
  rounds: [
    { callers: 1, keys: 200 },
    { callers: 64, keys: 2_000 },
  ],
}

export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  // Pools alone keep no process alive.
  const alive = setInterval(() => {}, 60_000)
  try {
    for (const [name, openKeep] of KEEPS) await runRates(report, { name, openKeep, load: quick ? QUICK_LOAD : LOAD })
    await using postgres = await startPostgresKeeps()
    if (postgres === undefined) console.error('PostgreSQL is left out: apt-get install postgresql')
    else await runRates(report, { name: 'PostgreSQL', ...postgres, load: quick ? QUICK_LOAD : POSTGRES_LOAD })
    const opens = quick ? 3 : 30
    for (const cells of quick ? [1e5] : [1e6, 1e7]) await runLargeStore(report, { cells, opens })
  } finally {
    clearInterval(alive)
  }
}

async function runRates(
  report: Report,
  { name, openKeep, load }: { name: string; openKeep: OpenKeep; load: Load },
): Promise<void> {
  await using dir = await createTempDir()
  await using pools = await StockedPools.fill(openKeep, {
    directory: dir.path,
    blocks: load.blocks,
  })
  report({ metric: `${name}: cells filled`, value: (pools.cells / pools.fillMs) * 1000, unit: '1/s' })
  for (const { callers, keys } of load.rounds) {
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
