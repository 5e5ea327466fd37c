import { expect } from 'chai'
import { seededRandom } from '../../../examples/networks/random.ts'
import { buildGraph } from '../../../lib/qnl/planner/graph.ts'
import { ShortestPaths } from '../../../lib/qnl/planner/shortest-paths.ts'
import { randomNetwork } from '../../helpers/random-networks.ts'

describe('ShortestPaths', () => {
  it('has the distances of Floyd and Warshall, and paths as long as it says', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed)
      const network = randomNetwork({ random, maxNodes: 25 })
      const graph = buildGraph(network)
      const lengths = Float64Array.from(network.links, () => (random() < 0.1 ? 0 : random()))
      const all = floydWarshall(network, lengths)
      const search = new ShortestPaths(graph)
      for (let source = 0; source < graph.nodeCount; source++) {
        search.run(source, lengths)
        for (let node = 0; node < graph.nodeCount; node++) {
          const expected = all[source]![node]!
          if (expected === Number.POSITIVE_INFINITY) {
            expect(search.distance[node]).to.equal(expected)
            continue
          }
          expect(search.distance[node]).to.be.closeTo(expected, 1e-12)
          const path = search.path(source, node)
          expect(path.reduce((sum, link) => sum + lengths[link]!, 0)).to.be.closeTo(expected, 1e-12)
          expect(walk(graph, source, path)).to.equal(node)
        }
      }
    }
  })
})

type Network = ReturnType<typeof randomNetwork>

function floydWarshall({ nodes, links }: Network, lengths: Float64Array): number[][] {
  const at = new Map(nodes.map(({ id }, index) => [id, index]))
  const all = nodes.map((_, a) => nodes.map((__, b) => (a === b ? 0 : Number.POSITIVE_INFINITY)))
  links.forEach((link, index) => {
    const [a, b] = [at.get(link.a)!, at.get(link.b)!]
    if (link.rateBps > 0) all[a]![b] = all[b]![a] = Math.min(all[a]![b]!, lengths[index]!)
  })
  for (let via = 0; via < nodes.length; via++) {
    for (const row of all)
      for (let to = 0; to < row.length; to++) row[to] = Math.min(row[to]!, row[via]! + all[via]![to]!)
  }
  return all
}

/** Where the links lead from `source`; throws if one does not go on from the last. */
function walk(graph: ReturnType<typeof buildGraph>, source: number, links: readonly number[]): number {
  return links.reduce((node, link) => {
    if (graph.endA[link] === node) return graph.endB[link]!
    if (graph.endB[link] === node) return graph.endA[link]!
    throw new Error(`Link ${link} does not begin at node ${node}`)
  }, source)
}
