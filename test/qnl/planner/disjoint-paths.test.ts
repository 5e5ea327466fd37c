import { expect } from 'chai'
import { seededRandom } from '../../../examples/networks/random.ts'
import { DisjointPaths } from '../../../lib/qnl/planner/disjoint-paths.ts'
import { buildGraph } from '../../../lib/qnl/planner/graph.ts'
import { randomNetwork } from '../../helpers/random-networks.ts'
import { simplePaths } from '../../helpers/simple-paths.ts'

describe('DisjointPaths', () => {
  for (const paths of [1, 2, 3]) {
    it(`finds the shortest set of ${paths}, as trying all sets does`, () => {
      let found = 0
      for (let seed = 1; seed <= 60; seed++) {
        const random = seededRandom(seed)
        const network = randomNetwork({ random, maxNodes: 8 })
        const graph = buildGraph(network)
        const lengths = Float64Array.from(network.links, () => 1 + Math.floor(9 * random()))
        const search = { source: 0, target: graph.nodeCount - 1, paths, lengths }
        const disjoint = new DisjointPaths(graph)
        const length = disjoint.run(search)
        const candidates = simplePaths(network, network.nodes[0]!.id, network.nodes.at(-1)!.id)
        const expected = shortestSet(
          candidates,
          paths,
          link => lengths[network.links.findIndex(({ id }) => id === link)]!,
        )
        expect(length, `seed ${seed}`).to.equal(expected)
        if (length === Number.POSITIVE_INFINITY) continue
        found++
        const set = disjoint.paths(search)
        expect(set).to.have.length(paths)
        expect(set.flat().reduce((sum, link) => sum + lengths[link]!, 0)).to.equal(length)
        const ids = set.map(links => links.map(link => network.links[link]!.id))
        const known = ids.map(links => candidates.find(candidate => candidate.links.join() === links.join()))
        const relays = known.flatMap(candidate => candidate!.nodes.slice(1, -1))
        expect(new Set(relays).size, 'relays').to.equal(relays.length)
      }
      expect(found).to.be.above(5)
    })
  }

  it('undoes a first path that would block the second', () => {
    // The shortest path a-c-d-b shares c or d with every other; two disjoint ones exist.
    const links = ['ac', 'cd', 'db', 'ae', 'ed', 'cf', 'fb'].map(id => ({ id, a: id[0]!, b: id[1]!, rateBps: 1 }))
    const nodes = [...'abcdef'].map(id => ({ id }))
    const graph = buildGraph({ nodes, links, demands: [] })
    const lengths = Float64Array.of(1, 1, 1, 4, 4, 4, 4)
    const disjoint = new DisjointPaths(graph)
    const search = { source: 0, target: 1, paths: 2, lengths }
    expect(disjoint.run(search)).to.equal(18)
    const names = disjoint.paths(search).map(path => path.map(link => links[link]!.id).join(' '))
    expect(names.sort()).to.deep.equal(['ac cf fb', 'ae ed db'])
  })
})

function shortestSet(
  candidates: readonly { readonly nodes: readonly string[]; readonly links: readonly string[] }[],
  count: number,
  lengthOf: (link: string) => number,
): number {
  const choose = (from: number, left: number, taken: ReadonlySet<string>): number => {
    if (left === 0) return 0
    let best = Number.POSITIVE_INFINITY
    for (let at = from; at < candidates.length; at++) {
      const { nodes, links } = candidates[at]!
      const uses = [...nodes.slice(1, -1), ...links]
      if (uses.some(use => taken.has(use))) continue
      const length = links.reduce((sum, link) => sum + lengthOf(link), 0)
      best = Math.min(best, length + choose(at + 1, left - 1, new Set([...taken, ...uses])))
    }
    return best
  }
  return choose(0, count, new Set())
}
