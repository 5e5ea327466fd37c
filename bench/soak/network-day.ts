/**
 * A network of 100 sites with `--count` demands (default 5,000) for a day of virtual time, with a link down for two hours; then
 * one plan for 500 sites.
 */
import { generateNetwork } from '../../examples/networks/generate.ts'
import { planNetwork } from '../../lib/qnl/planner/plan-network.ts'
import { parseNetworkTrace } from '../../lib/simulation/network-trace.ts'
import { simulateNetwork } from '../../lib/simulation/simulate-network.ts'
import type { SoakOptions } from '../soak.ts'

const SITES = 100
const PAIRS = (SITES * (SITES - 1)) / 2

export async function run({ count = 5000, log }: SoakOptions): Promise<void> {
  const network = generateNetwork({
    kind: 'national',
    nodes: SITES,
    links: 180,
    demands: Math.min(count, PAIRS),
    seed: 1,
  })
  // Beyond one for each pair: further groups of hosts, which share the pool of their pair.
  const more = network.demands.slice(0, count - network.demands.length)
  const demands = [...network.demands, ...more.map(demand => ({ ...demand, id: `${demand.id}:2` }))]
  const file = { ...network, demands: demands.map(demand => ({ ...demand, rateBps: demand.rateBps / 8 })) }
  const link = file.links[0]!.id
  const trace = parseNetworkTrace(
    {
      durationS: 86_400,
      events: [
        { atS: 28_800, link, state: 'down' },
        { atS: 36_000, link, state: 'up' },
      ],
    },
    file,
  )
  let told = 0
  const simulation = await simulateNetwork(file, trace, {
    onProgress: share => {
      if (share < told + 0.1) return
      told = share
      log(`${Math.round(100 * share)} %, ${Math.round(process.memoryUsage.rss() / 1e6)} MB`)
    },
  })
  const sum = (of: (demand: (typeof simulation.demands)[number]) => number) =>
    simulation.demands.reduce((all, each) => all + of(each), 0)
  const { plans, planMs, wallS, cpuS, memoryMb, worstGap } = simulation
  const served = sum(({ servedBits }) => servedBits) / sum(({ wantedBits }) => wantedBits)
  log(
    `${file.demands.length} demands, ${(100 * served).toFixed(2)} % served, worst gap ${(100 * worstGap).toFixed(4)} %`,
  )
  log(`${plans} plans, median ${Math.round(planMs.median)} ms, longest ${Math.round(planMs.max)} ms`)
  log(`${Math.round(wallS)} s, ${Math.round(cpuS)} s of processor, ${Math.round(memoryMb)} MB`)
  for (const { id, usedShare } of simulation.links)
    if (!(usedShare <= 1)) throw new Error(`${id} gave more than it had`)
  for (const { id, servedBits, wantedBits } of simulation.demands) {
    if (servedBits > wantedBits) throw new Error(`${id} got more than it asked for`)
  }
  await planLarge(log)
}

async function planLarge(log: SoakOptions['log']): Promise<void> {
  const large = { kind: 'national', nodes: 500, links: 2300, demands: 200, traffic: 'even', seed: 1 } as const
  const [beganMs, before] = [performance.now(), process.cpuUsage()]
  const { lambda, gap } = await planNetwork(generateNetwork(large))
  const { user, system } = process.cpuUsage(before)
  log(
    `500 sites, 2,300 links, 200 demands: lambda ${lambda.toFixed(2)}, gap ${(100 * gap).toFixed(6)} %, ` +
      `${Math.round(performance.now() - beganMs)} ms, ${Math.round((user + system) / 1000)} ms of processor, ` +
      `${Math.round(process.memoryUsage.rss() / 1e6)} MB`,
  )
  if (!(gap <= 1e-4)) throw new Error('The plan is further from the best than it may be')
}
