/**
 * Every defence of the TLS integration, taken out of a copy of the source one at a time: the test that is named for it must go
 * red. `--count` takes the first so many alone.
 */
import { tlsMutants } from '../../test/mutation/mutants.ts'
import { runMutants } from '../../test/mutation/run-mutants.ts'
import type { SoakOptions } from '../soak.ts'

export async function run({ count = tlsMutants.length, log }: SoakOptions): Promise<void> {
  const survivors: string[] = []
  const outcomes = await runMutants(tlsMutants.slice(0, count), {
    onOutcome: ({ mutant, killed, message }) => {
      log(`${killed ? 'noticed' : 'NOT NOTICED'} without ${mutant.without}: ${message}`)
      if (!killed) survivors.push(mutant.without)
    },
  })
  if (survivors.length > 0) throw new Error(`No test noticed: ${survivors.join('; ')}`)
  log(`${outcomes.length} defences taken out, each noticed by its test`)
}
