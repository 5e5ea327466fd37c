import { tamperWithStore } from '../../test/helpers/store-tamper-trial.ts'
import type { SoakOptions } from '../soak.ts'

/** Copies of a store with one byte of a file altered each: all that is read is as it was written, or refused. */
export async function run({ count = 2_000, log }: SoakOptions): Promise<void> {
  const { wrong, ...report } = await tamperWithStore({ flips: count, blocks: 40 })
  log(JSON.stringify(report))
  if (wrong.length > 0) throw new Error(wrong.slice(0, 5).join('; '))
}
