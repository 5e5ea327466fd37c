import { expect } from 'chai'
import { seededRandom } from '../../../examples/networks/random.ts'
import { buildGraph } from '../../../lib/qnl/planner/graph.ts'
import { findAtLargest, findWidestShortest } from '../../../lib/qnl/planner/widest-shortest-path.ts'
import { randomNetwork } from '../../helpers/random-networks.ts'
import { simplePaths } from '../../helpers/simple-paths.ts'

describe('findWidestShortest', () => {
  it('takes, of the paths of fewest links with room, the one with most room', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed)
      const network = randomNetwork({ random, maxNodes: 9 })
      const room = Float64Array.from(network.links, () => 1 + Math.floor(9 * random()))
      const least = 1 + Math.floor(5 * random())
      const target = network.nodes.length - 1
      const path = findWidestShortest({ graph: buildGraph(network), source: 0, target, room, least })
      const roomOf = (id: string) => room[network.links.findIndex(link => link.id === id)]!
      const able = simplePaths(network, network.nodes[0]!.id, network.nodes[target]!.id)
        .map(({ links }) => ({ hops: links.length, width: Math.min(...links.map(roomOf)) }))
        .filter(({ width }) => width >= least)
        .sort((p, q) => p.hops - q.hops || q.width - p.width)
      expect(path?.length, `hops, seed ${seed}`).to.equal(able[0]?.hops)
      if (path === undefined) continue
      expect(Math.min(...path.map(link => room[link]!)), `width, seed ${seed}`).to.equal(able[0]!.width)
    }
  })
})

describe('findAtLargest', () => {
  it('gives what is found at the largest threshold that still finds something', () => {
    for (let limit = 0; limit <= 6; limit++) {
      const found = findAtLargest([3, 1, 5, 1, 2, 4], least => (least <= limit ? least : undefined))
      expect(found).to.equal(limit === 0 ? undefined : Math.min(5, limit))
    }
    expect(findAtLargest([], () => 1)).to.equal(undefined)
  })
})
