/**
 * The planner against the independent linear program on `--count` random networks (default 1,000) of all kinds, new ones
 * in every run; the seed of the run is told, and a network that fails is named by its number.
 */
import { compareWithOracle, networkKinds, numberedNetwork } from '../../test/helpers/planner-trial.ts'
import type { SoakOptions } from '../soak.ts'

export async function run({ count = 1000, log }: SoakOptions): Promise<void> {
  const first = Math.floor(Math.random() * 2 ** 31)
  const kinds = Object.entries(networkKinds)
  log(`networks ${first} to ${first + count - 1}`)
  for (let done = 0; done < count; done++) {
    const number = first + done
    const [name, kind] = kinds[number % kinds.length]!
    const faults = await compareWithOracle(numberedNetwork(number, kind))
    if (faults.length > 0) throw new Error(`Network ${number} ${name}: ${faults.join('; ')}`)
    if ((done + 1) % 50 === 0) log(`${done + 1} of ${count}`)
  }
}
