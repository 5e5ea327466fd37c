import { seededRandom } from '../../examples/networks/random.ts'
import type { Plan } from '../../lib/qnl/planner/plan.ts'
import { type PlanOptions, planNetwork } from '../../lib/qnl/planner/plan-network.ts'
import { type OracleNetwork, solveEdgeLp } from './edge-lp-oracle.ts'
import { auditPlan } from './plan-audit.ts'
import { type RandomNetworkOptions, randomNetwork } from './random-networks.ts'

type Kind = Omit<RandomNetworkOptions, 'random' | 'maxNodes'> & { readonly maxNodes?: number }

/** The kinds of random networks that the planner is tried on, each under what it has. */
export const networkKinds: Readonly<Record<string, Kind>> = {
  'of plain links': {},
  'with switched sites': { modules: true },
  'with split demands': { modes: ['multipath', 'split'] },
  'with limits': { limits: true },
  'with everything': { modes: ['multipath', 'split', 'single'], modules: true, limits: true },
}

/** Network `number` of a kind, the same on every machine: up to 60 sites. */
export function numberedNetwork(number: number, { maxNodes = 60, ...kind }: Kind): OracleNetwork {
  return randomNetwork({ random: seededRandom(number + 1), maxNodes, ...kind })
}

/** How far level and bound may be from the oracle's optimum. */
const TOLERANCE = 1e-4

/**
 * What is wrong with the planner's answer for a network, by the audit and by the oracle; empty if nothing is. With
 * `single` demands the oracle knows only the bound.
 */
export async function compareWithOracle(
  network: OracleNetwork,
  options: PlanOptions = {},
  planner: (network: OracleNetwork, options: PlanOptions) => Promise<Plan> = planNetwork,
): Promise<string[]> {
  const plan = await planner(network, options)
  const faults = auditPlan(network, plan)
  if (plan.method === 'approximation') faults.push('the planner fell back to an approximation')
  const served = servedPart(network, plan)
  if (served.demands.length === 0) return plan.lambda === 0 ? faults : [...faults, 'a level without a demand']
  const optimum = solveEdgeLp(served)
  const isAbout = (value: number) => Math.abs(value / optimum - 1) <= TOLERANCE
  if (!isAbout(plan.bound)) faults.push(`the bound is ${plan.bound}, the optimum ${optimum}`)
  const isSplittable = served.demands.every(({ mode }) => mode !== 'single')
  if (isSplittable && !isAbout(plan.lambda)) faults.push(`lambda is ${plan.lambda}, the optimum ${optimum}`)
  return faults
}

/**
 * The network without the demands that the plan leaves out, for the oracle. A `split` demand without two paths apart has
 * the link between its ends as its only path, and no other path exists.
 */
export function servedPart(network: OracleNetwork, plan: Plan): OracleNetwork {
  const demands = network.demands.flatMap((demand, index) => {
    const { reason, paths } = plan.demands[index]!
    if (reason !== undefined) return []
    const isDirect = demand.mode === 'split' && paths.every(({ set }) => set === undefined)
    return isDirect ? { ...demand, mode: 'multipath' as const } : demand
  })
  return { ...network, demands }
}
