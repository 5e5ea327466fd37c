import { searchDelivered, searchDeliveredAsStrings } from '../../test/helpers/memory-trial.ts'
import type { SoakOptions } from '../soak.ts'

/** Looks through memory and files of two sites for the keys that they delivered, and through those of sites that use strings. */
export async function run({ count = 10_000, log }: SoakOptions): Promise<void> {
  const careful = await searchDelivered(count)
  log(JSON.stringify(careful))
  const careless = await searchDeliveredAsStrings(count)
  log(`as strings: ${JSON.stringify(careless)}`)
  if (careful.raw + careful.hex > 0 || careful.base64 > 10) throw new Error('Delivered keys are still in memory')
  if (careless.base64 < count / 10) throw new Error('The search finds too little where there is much')
}
