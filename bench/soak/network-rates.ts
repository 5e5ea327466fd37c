/**
 * Ten node processes for `--count` seconds (default 300) of changing demand: at least 95 % of the planned rates come out at
 * both ends. Then one pair's weight doubles, and its share follows the plan within 2 %.
 */
import { PairTakers, startTen, tenPairs } from '../../test/helpers/planned-rates.ts'
import type { SoakOptions } from '../soak.ts'

const CHANGE_S = 20

export async function run({ count = 300, log }: SoakOptions): Promise<void> {
  await using network = await startTen()
  await using takers = new PairTakers(network)
  const askAll = (of: (at: number) => number) => Promise.all(tenPairs.map((pair, at) => takers.ask(pair, of(at))))
  await askAll(() => 2_000_000)
  await takers.ready()
  await takers.measure(10)
  let next = CHANGE_S
  let round = 0
  const report = await takers.measure(count, async atS => {
    if (atS < next) return
    next += CHANGE_S
    round += 1
    await askAll(at => 500_000 + 500_000 * ((at * 7 + round * 3) % 6))
  })
  const sum = (of: (pair: { plannedBits: number; deliveredBits: number }) => number) =>
    [...report.pairs.values()].reduce((all, pair) => all + of(pair), 0)
  const share = sum(pair => pair.deliveredBits) / sum(pair => pair.plannedBits)
  log(
    `${Math.round(report.seconds)} s, ${(report.relayedBps / 1e6).toFixed(2)} Mb/s planned over relays, ${(100 * share).toFixed(2)} % delivered`,
  )
  for (const [id, { plannedBits, deliveredBits }] of report.pairs) {
    log(
      `  ${id}: ${(plannedBits / report.seconds / 1e6).toFixed(3)} Mb/s planned, ${((100 * deliveredBits) / plannedBits).toFixed(1)} %`,
    )
  }
  if (share < 0.95) throw new Error(`${(100 * share).toFixed(2)} % of the planned rates`)
  await doubleWeight({ takers, seconds: Math.max(20, count / 5), log })
}

async function doubleWeight({
  takers,
  seconds,
  log,
}: {
  takers: PairTakers
  seconds: number
  log: SoakOptions['log']
}): Promise<void> {
  const [first] = tenPairs
  for (const weight of [1, 2]) {
    for (const pair of tenPairs) await takers.ask(pair, 20_000_000, pair === first ? weight : 1)
    await takers.measure(8)
    const { pairs } = await takers.measure(seconds)
    const all = [...pairs.values()]
    const total = (of: (pair: (typeof all)[number]) => number) => all.reduce((sum, pair) => sum + of(pair), 0)
    const { plannedBits, deliveredBits } = pairs.get(first!.join(' '))!
    const planned = plannedBits / total(pair => pair.plannedBits)
    const delivered = deliveredBits / total(pair => pair.deliveredBits)
    log(`weight ${weight}: share ${(100 * planned).toFixed(2)} % planned, ${(100 * delivered).toFixed(2)} % delivered`)
    if (Math.abs(delivered / planned - 1) > 0.02)
      throw new Error(`The share is not that of the plan at weight ${weight}`)
  }
}
