/** The planner: CPU time for a plan of each size, and how much more it reaches than hop-count routing does. */
import { type GenerateOptions, generateNetwork } from '../examples/networks/generate.ts'
import type { NetworkFile } from '../lib/qnl/planner/network.ts'
import { planNetwork } from '../lib/qnl/planner/plan-network.ts'
import { hopCountLevel } from './network/hop-count.ts'
import { type Interruption, interruptions } from './network/interruption.ts'
import { relayLatencyMs } from './network/relay-latency.ts'
import { type BenchOptions, median, p95, type Report } from './report.ts'

const sizes: Readonly<Record<string, Omit<GenerateOptions, 'seed'>>> = {
  'national 50/88/662': { kind: 'national', nodes: 50, links: 88, demands: 662 },
  'metro 60/96/all pairs': { kind: 'metro', nodes: 60, links: 96 },
  'mesh 500/2300/200': { kind: 'national', nodes: 500, links: 2300, demands: 200, traffic: 'even' },
}

/** Three seeds of each size; names say sites/links/demands. The first plan of all also compiles the solver. */
export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const samples = quick ? 1 : 7
  const [firstSize] = Object.values(sizes)
  const first = await measurePlan(generateNetwork({ ...firstSize!, seed: 1 }))
  report({ metric: 'first plan of a process, CPU', value: first.cpuMs, unit: 'ms', samples: 1 })
  // The compiler goes on in the background for a while; what it takes is no part of a plan.
  for (let more = 0; more < samples; more++) await measurePlan(generateNetwork({ ...firstSize!, seed: 1 }))
  for (const [name, options] of Object.entries(sizes)) {
    for (const seed of [1, 2, 3]) {
      const network = generateNetwork({ ...options, seed })
      const times: number[] = []
      let lambda = 0
      let gap = 0
      for (let sample = 0; sample < samples; sample++) {
        const plan = await measurePlan(network)
        times.push(plan.cpuMs)
        lambda = plan.lambda
        gap = Math.max(gap, plan.gap)
      }
      const hopCount = hopCountLevel(network)
      report({ metric: `${name}, seed ${seed}: CPU`, value: median(times), unit: 'ms', samples })
      report({
        metric: `${name}, seed ${seed}: lambda`,
        value: lambda,
        unit: '',
        baseline: hopCount,
        ratio: lambda / hopCount,
      })
      report({ metric: `${name}, seed ${seed}: gap`, value: 100 * gap, unit: '%' })
    }
  }
  await reportInterruptions(report, { quick })
  const blocks = quick ? 5 : 30
  const passed = await relayLatencyMs({ announce: false, blocks })
  const announced = await relayLatencyMs({ announce: true, blocks })
  const metric = 'a block over 5 hops of 13 Mb/s: relays announce'
  report({ metric, value: announced, unit: 'ms', samples: blocks, baseline: passed, ratio: announced / passed })
  report({ metric: 'memory of the process at the end', value: process.memoryUsage.rss() / 2 ** 20, unit: 'MiB' })
}

/** A link falls silent in a running network of 50 nodes, over mTLS; the goals are 200, 250 and 500 ms. */
async function reportInterruptions(report: Report, { quick }: BenchOptions): Promise<void> {
  const seen: Interruption[] = []
  for await (const one of interruptions(quick ? 2 : 32)) seen.push(one)
  const times: [string, (one: Interruption) => number][] = [
    ['link down', one => one.downMs],
    ['ends of its pairs told', one => one.toldMs],
    ['new plan at every node', one => one.plannedMs],
    ['back in the plans', one => one.restoredMs],
  ]
  for (const [name, of] of times) {
    const values = seen.map(of)
    report({ metric: `50 nodes, ${name}: median`, value: median(values), unit: 'ms', samples: values.length })
    report({ metric: `50 nodes, ${name}: p95`, value: p95(values), unit: 'ms', samples: values.length })
  }
}

async function measurePlan(network: NetworkFile): Promise<{ cpuMs: number; lambda: number; gap: number }> {
  const before = process.cpuUsage()
  const { lambda, gap } = await planNetwork(network)
  const { user, system } = process.cpuUsage(before)
  return { cpuMs: (user + system) / 1000, lambda, gap }
}
