import { expect } from 'chai'
import { generateNetwork } from '../../../examples/networks/generate.ts'
import type { NetworkFile } from '../../../lib/qnl/planner/network.ts'
import type { Plan } from '../../../lib/qnl/planner/plan.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'
import { auditPlan } from '../../helpers/plan-audit.ts'
import { networkKinds, numberedNetwork } from '../../helpers/planner-trial.ts'

describe('planNetwork, filling up', function () {
  this.timeout(30_000)

  it('leaves no multipath demand a path with room', async () => {
    for (let number = 400; number < 420; number++) {
      const network = numberedNetwork(number, networkKinds['with limits']!)
      const plan = await planNetwork(network)
      for (const demand of network.demands) {
        const { rateBps } = plan.demands.find(({ id }) => id === demand.id)!
        if (rateBps >= (demand.limitBps ?? Number.POSITIVE_INFINITY) * (1 - 1e-6)) continue
        expect(reachable(network, plan, demand.a).has(demand.b), `number ${number}, ${demand.id}`).to.equal(false)
      }
    }
  })

  it('comes near exact max-min fairness where it saves its linear programs', async () => {
    const network = generateNetwork({ kind: 'national', nodes: 50, links: 88, demands: 662, seed: 1 })
    const fast = await planNetwork(network)
    const exact = await planNetwork(network, { fairness: 'exact' })
    expect(auditPlan(network, exact)).to.deep.equal([])
    expect(exact.lambda / fast.lambda).to.be.closeTo(1, 1e-6)
    const ratios = fast.demands.map(({ level }, index) => level / exact.demands[index]!.level)
    const meanOf = (values: number[]) =>
      Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
    expect(meanOf(ratios.map(ratio => Math.min(ratio, 1 / ratio)))).to.be.above(0.85)
  })
})

/** Sites that can be reached over links which the plan leaves room on. */
function reachable({ links }: NetworkFile, plan: Plan, from: string): Set<string> {
  const free = links.filter(({ rateBps }, index) => plan.links[index]!.loadBps < rateBps * (1 - 1e-6))
  const reached = new Set([from])
  for (const site of reached) {
    for (const { a, b } of free) {
      if (a === site) reached.add(b)
      if (b === site) reached.add(a)
    }
  }
  return reached
}
