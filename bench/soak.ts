/**
 * `npm run soak -- [name…] [--count N]`: the long runs of the folder `soak`, all when none is named. Each looks for one
 * breach of an invariant in N rounds and fails with it; a run without one says how many rounds it did.
 */
import { parseArgs } from 'node:util'
import { suiteNames, unknownSuites } from './suites.ts'

/** How a soak run is asked for. */
export interface SoakOptions {
  /** Rounds to do; undefined for the run's own default. */
  readonly count: number | undefined
  /** Tells a person how far the run is. */
  readonly log: (line: string) => void
}

/** What a module of the folder exports. Rejects at the first breach. */
export interface SoakRun {
  run(options: SoakOptions): Promise<void>
}

const folder = new URL('./soak/', import.meta.url)
const known = suiteNames(folder)
const { values, positionals } = parseArgs({ allowPositionals: true, options: { count: { type: 'string' } } })
const count = values.count === undefined ? undefined : Number(values.count)
const wrongCount = count !== undefined && !(Number.isSafeInteger(count) && count > 0)
const wrong = wrongCount ? '--count must be a positive integer' : unknownSuites(positionals, known)
if (wrong !== undefined) {
  console.error(wrong)
  process.exit(2)
}

for (const name of positionals.length > 0 ? positionals : known) {
  const soak = (await import(new URL(`${name}.ts`, folder).href)) as SoakRun
  const start = performance.now()
  await soak.run({ count, log: line => console.error(`${name}: ${line}`) })
  console.log(`${name}: no breach in ${((performance.now() - start) / 1000).toFixed(1)} s`)
}
