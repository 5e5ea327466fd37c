/**
 * The policy engine: what a decision costs with many hosts and rules, and how long a new policy takes to be in force; and the
 * demand monitor: how much a pool holds, and how many requests come late.
 */
import type { PolicyFile, PolicyRule } from '../lib/interface/policy.ts'
import { Admission } from '../lib/kms/policy/admission.ts'
import { findUnreachableRules } from '../lib/kms/policy/unreachable-rules.ts'
import { runDemandCurve } from './policy/demand-curve.ts'
import { type BenchOptions, median, p95, type Report } from './report.ts'

const SAES = 1_000
const RULES = 10_000
const BATCH = 1_000

export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const samples = quick ? 5 : 60
  const policy = largePolicy()
  const limits = { keySizeBits: 256, minKeySizeBits: 64, maxKeySizeBits: 4096, maxKeyPerRequest: 128 }
  const clocks = { now: () => Date.now(), monotonicMs: () => performance.now() }
  const loads: number[] = []
  let admission = new Admission({ policy, limits, keyLifeMs: 360_000, ...clocks })
  for (let sample = 0; sample < Math.min(samples, 30); sample += 1) {
    loads.push(cpuMsOf(() => admission.setPolicy(policy)))
  }
  report({ metric: `${RULES} rules: load a policy, CPU`, value: median(loads), unit: 'ms', samples: loads.length })
  admission = new Admission({ policy, limits, keyLifeMs: 360_000, ...clocks })
  const check = cpuMsOf(() => findUnreachableRules(admission.policy))
  report({ metric: `${RULES} rules: find unreachable ones, CPU`, value: check, unit: 'ms', samples: 1 })
  const first = perRequestUs(admission, 0)
  report({ metric: 'admit: first requests of each host, CPU', value: first, unit: 'us', samples: BATCH })
  const warm = Array.from({ length: samples }, (_, sample) => perRequestUs(admission, sample))
  report({ metric: 'admit: a request, CPU, median', value: median(warm), unit: 'us', samples })
  report({ metric: 'admit: a request, CPU, p95 of batches', value: p95(warm), unit: 'us', samples })
  await runDemandCurve(report, { quick })
}

/** CPU time of one request of a batch over all hosts, in microseconds. */
function perRequestUs(admission: Admission, shift: number): number {
  const cpuMs = cpuMsOf(() => {
    for (let n = 0; n < BATCH; n += 1) {
      const pair = { masterSaeId: `sae-${n % SAES}`, slaveSaeId: `sae-${(n * 7 + shift) % SAES}` }
      admission.admit({ pair, peerSiteId: `site-${n % 10}`, integration: 'tls' }).issued()
    }
  })
  return (cpuMs * 1000) / BATCH
}

/** Rules for single pairs, for groups, sites and hours, and one for the rest, in the order of how much they name. */
function largePolicy(): PolicyFile {
  const groups = Object.fromEntries(
    Array.from({ length: 50 }, (_, group) => [
      `group-${group}`,
      { saes: Array.from({ length: 20 }, (_, n) => `sae-${group * 20 + n}`) },
    ]),
  )
  const rules = Array.from({ length: RULES - 1 }, (_, n): PolicyRule => {
    const name = `rule ${n}`
    const priority = n % 10
    if (n % 5 === 0) return { name, priority, match: { master: [`@group-${n % 50}`], peerSite: [`site-${n % 11}`] } }
    if (n % 5 === 1)
      return { name, priority, match: { slave: [`@group-${n % 50}`], time: { from: '00:00', to: '00:01' } } }
    return { name, priority, match: { master: [`sae-${n % SAES}`], slave: [`sae-${(n * 3) % SAES}`] } }
  })
  const rate = { bitsPerSecond: 1e9, burstBits: 1e12 }
  return { groups, rules: [...rules, { name: 'rest', rate, maxUnfetchedKeys: 1e9 }], otherwise: 'deny' }
}

function cpuMsOf(run: () => void): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
