import { expect } from 'chai'
import { seededRandom } from '../../../examples/networks/random.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'
import type { OracleNetwork } from '../../helpers/edge-lp-oracle.ts'
import { auditPlan } from '../../helpers/plan-audit.ts'
import { type SimplePath, simplePaths } from '../../helpers/simple-paths.ts'

describe('planNetwork in single mode', function () {
  this.timeout(30_000)

  it('finds the best single paths of small networks, as trying all does', async () => {
    let gaps = 0
    for (let seed = 1; seed <= 40; seed++) {
      const network = smallNetwork(seed)
      const choices = network.demands.map(({ a, b }) => simplePaths(network, a, b))
      if (choices.reduce((product, { length }) => product * length, 1) > 50_000) continue
      const plan = await planNetwork(network)
      expect(auditPlan(network, plan)).to.deep.equal([])
      expect(plan.lambda / bestLevel(network, choices), `seed ${seed}`).to.be.closeTo(1, 1e-6)
      if (plan.gap > 0.01) gaps++
    }
    // Without networks where one path is not enough, the test would show nothing.
    expect(gaps).to.be.above(5)
  })

  it('reports the gap to a plan that may split', async () => {
    const nodes = [{ id: 'a' }, { id: 'b' }]
    const links = ['1', '2'].map(id => ({ id, a: 'a', b: 'b', rateBps: 10 }))
    const { lambda, bound, gap } = await planNetwork({
      nodes,
      links,
      demands: [{ id: 'd', a: 'a', b: 'b', rateBps: 10, mode: 'single' }],
    })
    expect(lambda).to.be.closeTo(1, 1e-9)
    expect(bound).to.be.closeTo(2, 1e-6)
    expect(gap).to.be.closeTo(0.5, 1e-6)
  })
})

function smallNetwork(seed: number): OracleNetwork {
  const random = seededRandom(seed)
  const below = (limit: number) => Math.floor(limit * random())
  const count = 5 + below(3)
  const name = (index: number) => `n${index}`
  const pair = () => {
    const a = below(count)
    return { a: name(a), b: name((a + 1 + below(count - 1)) % count) }
  }
  const tree = Array.from({ length: count - 1 }, (_, index) => ({ a: name(index + 1), b: name(below(index + 1)) }))
  const chords = Array.from({ length: 4 }, pair)
  return {
    nodes: Array.from({ length: count }, (_, index) => ({ id: name(index) })),
    links: [...tree, ...chords].map((ends, index) => ({ id: `l${index}`, ...ends, rateBps: 100 + below(900) })),
    demands: Array.from({ length: 2 + below(4) }, (_, index) => {
      return { id: `d${index}`, ...pair(), rateBps: 50 + below(200), mode: 'single' as const }
    }),
  }
}

function bestLevel({ links, demands }: OracleNetwork, choices: readonly (readonly SimplePath[])[]): number {
  const rates = new Map(links.map(({ id, rateBps }) => [id, rateBps]))
  const choose = (at: number, loads: ReadonlyMap<string, number>): number => {
    if (at === demands.length) return Math.min(...[...loads].map(([id, load]) => rates.get(id)! / load))
    return Math.max(
      ...choices[at]!.map(path => {
        const next = new Map(loads)
        for (const id of path.links) next.set(id, (next.get(id) ?? 0) + demands[at]!.rateBps)
        return choose(at + 1, next)
      }),
    )
  }
  return choose(0, new Map())
}
