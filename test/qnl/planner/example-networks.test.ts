import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { formatNetwork, type GenerateOptions, generateNetwork } from '../../../examples/networks/generate.ts'
import { parseNetworkFile } from '../../../lib/qnl/planner/parse-network-file.ts'
import { planNetwork } from '../../../lib/qnl/planner/plan-network.ts'
import { compareWithOracle } from '../../helpers/planner-trial.ts'

const folder = new URL('../../../examples/networks/', import.meta.url)

describe('generateNetwork', () => {
  const sizes: GenerateOptions[] = [
    { kind: 'metro', nodes: 60, links: 96, seed: 1 },
    { kind: 'national', nodes: 50, links: 88, demands: 662, seed: 2 },
    { kind: 'national', nodes: 120, links: 500, demands: 200, traffic: 'even', seed: 3 },
    { kind: 'metro', nodes: 4, links: 4, seed: 4 },
  ]
  for (const options of sizes) {
    it(`makes ${options.kind} networks of exactly the size asked for, all in one piece`, async () => {
      const network = generateNetwork(options)
      const { nodes, links, demands = (nodes * (nodes - 1)) / 2 } = options
      expect([network.nodes.length, network.links.length, network.demands.length]).to.deep.equal([
        nodes,
        links,
        demands,
      ])
      expect(parseNetworkFile(network)).to.equal(network)
      expect(Math.min(...network.links.map(({ rateBps }) => rateBps))).to.be.above(0)
      expect((await planNetwork(network, { method: 'approximation' })).demands.some(({ reason }) => reason)).to.equal(
        false,
      )
    })
  }

  it('depends on the seed and on nothing else', () => {
    const options = sizes[1]!
    expect(generateNetwork(options)).to.deep.equal(generateNetwork(options))
    expect(generateNetwork(options)).to.not.deep.equal(generateNetwork({ ...options, seed: 9 }))
  })

  for (const [file, options] of [
    ['metro-12.json', { kind: 'metro', nodes: 12, links: 18, seed: 1 }],
    ['national-20.json', { kind: 'national', nodes: 20, links: 34, demands: 70, seed: 2 }],
  ] as const) {
    it(`gives ${file} as it stands there`, () => {
      expect(`${formatNetwork(generateNetwork(options))}\n`).to.equal(readFileSync(new URL(file, folder), 'utf8'))
    })
  }

  it('refuses sizes that cannot be', () => {
    for (const change of [{ nodes: 3 }, { links: 3 }, { links: 11 }]) {
      expect(() => generateNetwork({ kind: 'metro', nodes: 5, links: 6, seed: 1, ...change })).to.throw(RangeError)
    }
  })
})

describe('example networks', function () {
  this.timeout(60_000)
  // A day is a trace for the simulation, which names its network.
  for (const name of readdirSync(folder).filter(file => /(?<!-day)\.json$/.test(file))) {
    it(`${name} is planned to the optimum`, async () => {
      const network = JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
      expect(await compareWithOracle(network)).to.deep.equal([])
    })
  }
})
