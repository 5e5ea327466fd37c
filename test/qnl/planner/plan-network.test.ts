import { expect } from 'chai'
import type { NetworkDemand, NetworkFile } from '../../../lib/qnl/planner/network.ts'
import type { Plan, PlannedDemand } from '../../../lib/qnl/planner/plan.ts'
import { type PlanOptions, planNetwork } from '../../../lib/qnl/planner/plan-network.ts'
import { auditPlan } from '../../helpers/plan-audit.ts'
import { numberedNetwork } from '../../helpers/planner-trial.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'

/** Links written `ab:10`: between a and b, 10 bits per second; a digit after the ends tells parallel links apart. */
function network(
  links: string,
  demands: Omit<NetworkDemand, 'id'>[],
  modules: Record<string, number> = {},
): NetworkFile {
  const parsed = links.split(' ').map(word => {
    const [id, rate] = word.split(':') as [string, string]
    return { id, a: id[0]!, b: id[1]!, rateBps: Number(rate) }
  })
  const ids = [...new Set([...parsed.flatMap(({ a, b }) => [a, b]), ...demands.flatMap(({ a, b }) => [a, b])])].sort()
  return {
    nodes: ids.map(id => ({ id, ...(modules[id] === undefined ? {} : { modules: modules[id] }) })),
    links: parsed,
    demands: demands.map((demand, index) => ({ id: `d${index}`, ...demand })),
  }
}

/** A plan that an independent audit finds nothing wrong with. */
async function plan(file: NetworkFile, options?: PlanOptions): Promise<Plan> {
  const result = await planNetwork(file, options)
  expect(auditPlan(file, result)).to.deep.equal([])
  return result
}

const ab = { a: 'a', b: 'b', rateBps: 10 }
const pathsOf = (demand: PlannedDemand | undefined) => demand!.paths.map(({ nodes }) => nodes.join('')).sort()

describe('planNetwork', () => {
  it('uses all paths of a demand together', async () => {
    const { lambda, gap, demands } = await plan(network('ac:30 cb:30 ad:20 db:10', [ab]))
    expect(lambda).to.be.closeTo(4, 1e-9)
    expect(gap).to.be.below(1e-7)
    expect(pathsOf(demands[0])).to.deep.equal(['acb', 'adb'])
  })

  it('gives a link in one direction or the other, not in both', async () => {
    const { lambda } = await plan(network('am:10 mb:10', [ab, { a: 'b', b: 'a', rateBps: 10 }]))
    expect(lambda).to.be.closeTo(0.5, 1e-9)
  })

  it('shares by weight times rate', async () => {
    const file = network('am:40 mb:40', [ab, { ...ab, weight: 2 }, { ...ab, rateBps: 5 }])
    const { lambda, demands } = await plan(file)
    expect(lambda).to.be.closeTo(40 / 35, 1e-9)
    expect(demands.map(({ rateBps }) => rateBps / lambda)).to.deep.equal(
      [10, 20, 5].map(rate => (demands[0]!.rateBps / lambda / 10) * rate),
    )
  })

  it('gives what the lowest level leaves to those who can use it', async () => {
    const { lambda, demands } = await plan(network('ab:10 bc:100', [ab, { a: 'b', b: 'c', rateBps: 10 }]))
    expect(lambda).to.be.closeTo(1, 1e-9)
    expect(demands.map(({ rateBps }) => Math.round(rateBps))).to.deep.equal([10, 100])
  })

  it('leaves demands without a route out of lambda and says why', async () => {
    const demands = [ab, { a: 'a', b: 'z', rateBps: 1 }, { a: 'a', b: 'c', rateBps: 1 }, { ...ab, rateBps: 0 }]
    const result = await plan(network('ab:10 bc:0 yz:5', demands))
    expect(result.lambda).to.be.closeTo(1, 1e-9)
    expect(result.demands.map(({ reason }) => reason)).to.deep.equal([
      undefined,
      'no path of links joins the two sites',
      'no path of links joins the two sites',
      'no rate asked for',
    ])
  })

  it('gives an empty plan where nobody can be served', async () => {
    for (const file of [network('ab:0', [ab]), network('ab:1', []), { nodes: [], links: [], demands: [] }]) {
      const { lambda, bound, gap } = await plan(file)
      expect({ lambda, bound, gap }).to.deep.equal({ lambda: 0, bound: 0, gap: 0 })
    }
  })

  it('takes parallel links as two', async () => {
    const { lambda, demands } = await plan(network('ab1:10 ab2:20', [ab]))
    expect(lambda).to.be.closeTo(3, 1e-9)
    expect(demands[0]!.paths.flatMap(({ links }) => links).sort()).to.deep.equal(['ab1', 'ab2'])
  })

  it('carries the epoch of the caller', async () => {
    expect(await plan(network('ab:10', [ab]), { epoch: 7 })).to.include({ epoch: 7 })
    expect(await plan(network('ab:10', [ab]))).to.include({ epoch: 1 })
  })

  it('gives the same plan for the same input', async () => {
    const file = network('am:7 mb:9 an:5 nb:3 mn:4 ab:2', [
      ab,
      { a: 'm', b: 'n', rateBps: 3 },
      { ...ab, mode: 'single' },
    ])
    expect(await plan(file)).to.deep.equal(await plan(file))
  })

  it('refuses impossible input with the path of the bad field', async () => {
    const file = network('ab:10', [ab])
    const error = await rejectsWith(
      planNetwork({ ...file, links: [{ ...file.links[0]!, rateBps: -1 }] }),
      'ERR_QKD_CONFIG',
    )
    expect(error.message).to.include('/links/0/rateBps')
  })

  it('counts amounts of any size', async () => {
    for (const size of [1e-3, 1, 1e12]) {
      const file = network(`ac:${30 * size} cb:${30 * size} ad:${20 * size} db:${10 * size}`, [
        { ...ab, rateBps: size },
      ])
      expect((await plan(file)).lambda).to.be.closeTo(40, 1e-6)
    }
  })
})

describe('planNetwork with limits, classes and deadlines', () => {
  it('gives no more than the limit and the rest to others', async () => {
    const { lambda, demands } = await plan(network('am:60 mb:60', [{ ...ab, limitBps: 20 }, ab]))
    expect(lambda).to.be.closeTo(2, 1e-9)
    expect(demands.map(({ rateBps }) => Math.round(rateBps))).to.deep.equal([20, 40])
  })

  it('serves a higher class first, up to its limits', async () => {
    const file = network('am:60 mb:60', [ab, { ...ab, priority: 1, limitBps: 45 }])
    const { lambda, bound, demands } = await plan(file)
    expect(demands.map(({ rateBps }) => Math.round(rateBps))).to.deep.equal([15, 45])
    expect(lambda).to.be.closeTo(1.5, 1e-9)
    expect(bound).to.be.closeTo(1.5, 1e-6)
  })

  it('moves the routes of a higher class, never its rates, to make room for a lower one', async () => {
    // Over m alone the first would fill am and mb, and the second could neither use am nor come round by b.
    const file = network('am:10 mb:10 an:10 nb:10', [
      { ...ab, priority: 5, limitBps: 10 },
      { a: 'a', b: 'm', rateBps: 10, limitBps: 10 },
    ])
    const { demands } = await plan(file)
    expect(demands.map(({ rateBps }) => Math.round(rateBps))).to.deep.equal([10, 10])
  })

  it('leaves a lower class nothing where a higher one takes all', async () => {
    const { lambda, gap, demands } = await plan(network('ab:10', [ab, { ...ab, priority: 1 }]))
    expect(demands.map(({ rateBps }) => Math.round(rateBps))).to.deep.equal([0, 10])
    expect(lambda).to.be.closeTo(0, 1e-9)
    expect(gap).to.be.within(0, 1)
  })

  it('serves a demand with a deadline before its class, for the rate it asked', async () => {
    const result = await plan(
      network('ab:25', [{ ...ab, rateBps: 20, deadlineMs: 3000 }, ab, { ...ab, deadlineMs: 5000, priority: -1 }]),
    )
    expect(result.demands.map(({ rateBps }) => Math.round(rateBps))).to.deep.equal([20, 5, 0])
    expect(result.validForMs).to.equal(3000)
  })
})

describe('planNetwork with everything at once', function () {
  this.timeout(60_000)

  for (const method of ['auto', 'approximation'] as const) {
    it(`gives plans that can be run as they stand (${method})`, async () => {
      for (let number = 500; number < 530; number++) {
        const modes = ['multipath', 'split', 'single'] as const
        const file = numberedNetwork(number, { modes, modules: true, limits: true, classes: true, maxNodes: 30 })
        expect(auditPlan(file, await planNetwork(file, { method })), `number ${number}`).to.deep.equal([])
      }
    })
  }
})

describe('planNetwork in split mode', () => {
  const split = { ...ab, mode: 'split' as const }

  it('counts a rate once for shares over paths that meet in no relay', async () => {
    const { lambda, demands } = await plan(network('ac:30 cb:30 ad:20 db:20', [split]))
    expect(lambda).to.be.closeTo(2, 1e-9)
    expect(demands[0]!.paths.map(({ set, rateBps }) => [set, Math.round(rateBps)])).to.deep.equal([
      [0, 20],
      [0, 20],
    ])
  })

  it('mixes sets: three paths of 10 carry 15, two at a time', async () => {
    const { lambda } = await plan(network('ac:10 cb:10 ad:10 db:10 ae:10 eb:10', [split]))
    expect(lambda).to.be.closeTo(1.5, 1e-9)
  })

  it('takes as many shares as are asked for', async () => {
    const { lambda, demands } = await plan(network('ac:10 cb:10 ad:10 db:10 ab:10', [{ ...split, shares: 3 }]))
    expect(lambda).to.be.closeTo(1, 1e-9)
    expect(demands[0]!.paths).to.have.length(3)
  })

  it('is served by a link between both ends alone where shares find no paths apart', async () => {
    const { demands } = await plan(network('ab:10 bc:10', [split, { a: 'a', b: 'c', rateBps: 1, mode: 'split' }]))
    expect(pathsOf(demands[0])).to.deep.equal(['ab'])
    expect(demands[1]).to.include({ rateBps: 0, reason: 'no 2 node-disjoint paths join the two sites' })
  })

  it('never takes one relay for a share of three where only two paths are apart', async () => {
    const { demands } = await plan(network('ab:10 ac:10 cb:10', [{ ...split, shares: 3 }]))
    expect(pathsOf(demands[0])).to.deep.equal(['ab'])
  })
})

describe('planNetwork over switched sites', () => {
  it('shares the time of the modules and reports it', async () => {
    const file = network(
      'am:10 bm:20',
      [
        { a: 'a', b: 'm', rateBps: 10 },
        { a: 'b', b: 'm', rateBps: 20 },
      ],
      { m: 1 },
    )
    const { lambda, links } = await plan(file)
    expect(lambda).to.be.closeTo(0.5, 1e-9)
    expect(links.map(({ timeShare }) => timeShare!.toFixed(6))).to.deep.equal(['0.500000', '0.500000'])
  })

  it('takes time at a relay for both links of a path', async () => {
    const { lambda } = await plan(network('am:10 mb:10', [ab], { m: 1 }))
    expect(lambda).to.be.closeTo(0.5, 1e-9)
  })

  it('has no limit where there are modules for all links, and no service where there are none', async () => {
    expect((await plan(network('am:10 mb:10', [ab], { m: 2 }))).lambda).to.be.closeTo(1, 1e-9)
    const { demands, links } = await plan(network('am:10 mb:10', [ab], { m: 0 }))
    expect(demands[0]).to.include({ rateBps: 0, reason: 'no path of links joins the two sites' })
    expect(links[0]!.timeShare).to.equal(0)
  })
})
