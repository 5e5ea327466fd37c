import { expect } from 'chai'
import type { PlanOptions } from '../../../lib/qnl/planner/plan-network.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'
import { type OracleNetwork, solveEdgeLp } from '../../helpers/edge-lp-oracle.ts'
import { auditPlan } from '../../helpers/plan-audit.ts'
import { compareWithOracle, networkKinds, numberedNetwork, servedPart } from '../../helpers/planner-trial.ts'

/** Networks of each kind; `npm run soak -- planner` does more. */
const COUNT = 40

describe('planNetwork against an independent linear program', function () {
  this.timeout(120_000)

  for (const [kind, options] of Object.entries(networkKinds)) {
    it(`reaches the optimum within 0.01 % on ${COUNT} random networks ${kind}`, async () => {
      for (let number = 0; number < COUNT; number++) {
        expect(await compareWithOracle(numberedNetwork(number, options)), `number ${number}`).to.deep.equal([])
      }
    })
  }

  it('reaches it by the program over arcs too', async () => {
    for (let number = 100; number < 115; number++) {
      const network = numberedNetwork(number, { modules: true, limits: true })
      expect(await compareWithOracle(network, { method: 'edge-lp' }), `number ${number}`).to.deep.equal([])
    }
  })

  it('bounds it without a linear program, within a few per cent', async () => {
    for (let number = 200; number < 215; number++) {
      const network = numberedNetwork(number, { modes: ['multipath', 'split'], modules: true })
      const plan = await planNetwork(network, { method: 'approximation' })
      expect(plan.method).to.equal('approximation')
      expect(auditPlan(network, plan), `number ${number}`).to.deep.equal([])
      const served = servedPart(network, plan)
      if (served.demands.length === 0) continue
      const optimum = solveEdgeLp(served)
      expect(plan.lambda, `number ${number}`).to.be.most(optimum * (1 + 1e-9))
      expect(plan.bound, `number ${number}`).to.be.least(optimum * (1 - 1e-9))
      expect(plan.gap, `number ${number}`).to.be.below(0.1)
    }
  })
})

describe('compareWithOracle', () => {
  it('fails a planner that has one wrong rate', async () => {
    let caught = 0
    for (let number = 0; number < 10; number++) {
      const network = numberedNetwork(number, {})
      const tight = await findTightLink(network)
      if (tight === undefined) continue
      for (const factor of [0.999, 1.001]) {
        const wrong = withRate(network, tight, factor)
        const faults = await compareWithOracle(network, {}, async (_, options) => planNetwork(wrong, options))
        expect(faults, `number ${number}, × ${factor}`).to.have.length.above(0)
        caught++
      }
    }
    expect(caught).to.be.above(8)
  })
})

describe('planNetwork with exact fairness', function () {
  this.timeout(60_000)

  it('leaves nobody who could have more at the cost only of those who have more', async () => {
    for (let number = 300; number < 312; number++) {
      await expectMaxMin(numberedNetwork(number, { maxNodes: 14 }), { fairness: 'exact' })
    }
  })
})

/** Nobody's rate can rise, not even by other routes, while all at its level or below keep theirs. */
async function expectMaxMin(network: OracleNetwork, options: PlanOptions): Promise<void> {
  const plan = await planNetwork(network, options)
  const served = servedPart(network, plan)
  for (const demand of served.demands) {
    const own = plan.demands.find(({ id }) => id === demand.id)!
    const atLeastBps = new Map(
      plan.demands
        .filter(({ id, level, reason }) => reason === undefined && id !== own.id && level <= own.level * (1 + 1e-6))
        .map(({ id, rateBps }) => [id, rateBps * (1 - 1e-8)]),
    )
    const best = solveEdgeLp(served, { demands: [demand.id], atLeastBps })
    expect(own.level / best, `${demand.id}`).to.be.closeTo(1, 1e-3)
  }
}

function withRate(network: OracleNetwork, id: string, factor: number): OracleNetwork {
  const links = network.links.map(link => (link.id === id ? { ...link, rateBps: link.rateBps * factor } : link))
  return { ...network, links }
}

/** A link whose rate the optimum hangs on: both more and less of it change the oracle's answer. */
async function findTightLink(network: OracleNetwork): Promise<string | undefined> {
  const plan = await planNetwork(network)
  const served = servedPart(network, plan)
  if (served.demands.length === 0) return undefined
  const optimum = solveEdgeLp(served)
  const changes = (id: string, factor: number) =>
    Math.abs(solveEdgeLp(withRate(served, id, factor)) / optimum - 1) > 2e-4
  const full = plan.links.filter(({ loadBps, rateBps }) => loadBps > 0.999 * rateBps)
  return full.find(({ id }) => changes(id, 0.999) && changes(id, 1.001))?.id
}
