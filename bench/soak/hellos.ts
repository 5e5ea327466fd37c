/**
 * Mutated ClientHellos through the parser, `--count` of them (default 1,000,000): each must be refused, or be sound. Fails too
 * where fewer than 30 % get past the header and the fixed fields, because such a run would show little.
 */
import { exposeGarbageCollector } from '../../test/helpers/garbage-collector.ts'
import { tryHellos } from '../../test/helpers/hello-trial.ts'
import type { SoakOptions } from '../soak.ts'

/** What may stay on the heap of a run that leaks nothing, in bytes. */
const HEAP_ROOM = 16 * 1024 * 1024

export async function run({ count = 1_000_000, log }: SoakOptions): Promise<void> {
  exposeGarbageCollector()
  const trial = await tryHellos({ count, seed: Date.now(), onProgress: done => log(`${done} of ${count}`) })
  const share = (part: number) => `${((part / count) * 100).toFixed(1)} %`
  const { reachedExtensions, parsed, withKey, heapGrowth } = trial
  log(`${count} hellos: ${share(reachedExtensions)} past header and fixed fields, ${share(parsed)} well-formed,`)
  log(`  ${share(withKey)} of them all with a key; heap ${(heapGrowth / 1024 / 1024).toFixed(1)} MB more than before`)
  for (const [name, { branches, covered, missed }] of trial.coverage) {
    log(`${name}: ${covered} of ${branches} branches ran (${((covered / branches) * 100).toFixed(1)} %)`)
    for (const text of missed) log(`  not: ${text.replaceAll(/\s+/g, ' ').slice(0, 100)}`)
  }
  if (reachedExtensions < count * 0.3) throw new Error(`Only ${share(reachedExtensions)} get past the first checks`)
  if (heapGrowth > HEAP_ROOM) throw new Error(`The heap grew by ${heapGrowth} bytes`)
}
