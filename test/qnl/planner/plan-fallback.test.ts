import { expect } from 'chai'
import { generateNetwork } from '../../../examples/networks/generate.ts'
import type { LpSolver } from '../../../lib/qnl/planner/lp-solver.ts'
import { planNetwork, planWith } from '../../../lib/qnl/planner/plan-network.ts'
import { auditPlan } from '../../helpers/plan-audit.ts'
import { compareWithOracle, numberedNetwork } from '../../helpers/planner-trial.ts'

describe('planWith', () => {
  const network = generateNetwork({ kind: 'national', nodes: 20, links: 34, demands: 60, seed: 4 })
  const failing: LpSolver = {
    createModel() {
      throw new Error('No memory')
    },
  }

  for (const [name, solver] of [
    ['no solver', undefined],
    ['a solver that fails', failing],
  ] as const) {
    it(`approximates with ${name}, and tells the true gap`, async () => {
      const exact = await planNetwork(network)
      const plan = planWith(solver, network)
      expect(plan.method).to.equal('approximation')
      expect(auditPlan(network, plan)).to.deep.equal([])
      expect(plan.lambda).to.be.within(0.97 * exact.lambda, exact.lambda * (1 + 1e-9))
      expect(plan.bound).to.be.within(exact.lambda * (1 - 1e-9), 1.03 * exact.lambda)
    })
  }

  it('plans classes, splits and single paths without a solver', () => {
    const demands = network.demands.map((demand, index) => ({
      ...demand,
      mode: (['multipath', 'split', 'single'] as const)[index % 3]!,
      priority: index % 2,
      ...(index % 2 === 1 ? { limitBps: 2 * demand.rateBps } : {}),
    }))
    const mixed = { ...network, demands }
    expect(auditPlan(mixed, planWith(undefined, mixed))).to.deep.equal([])
  })

  it('keeps what it has where the solver loses its way above the first level', async () => {
    expect(await compareWithOracle(numberedNetwork(3045, { modules: true }))).to.deep.equal([])
  })
})
