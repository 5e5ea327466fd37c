// Prints a seeded key network for `qkd network plan`; with options: --kind national --nodes 20 --links 32 --seed 2
import { parseArgs } from 'node:util'
import { formatNetwork, generateNetwork } from './networks/generate.ts'

const { values } = parseArgs({
  options: {
    kind: { type: 'string', default: 'metro' },
    traffic: { type: 'string', default: 'gravity' },
    nodes: { type: 'string', default: '12' },
    links: { type: 'string' },
    demands: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})
const nodes = Number(values.nodes)

console.log(
  formatNetwork(
    generateNetwork({
      kind: oneOf('kind', values.kind, ['metro', 'national']),
      traffic: oneOf('traffic', values.traffic, ['gravity', 'even']),
      nodes,
      links: Number(values.links ?? Math.round(1.6 * nodes)),
      demands: values.demands === undefined ? undefined : Number(values.demands),
      seed: Number(values.seed),
    }),
  ),
)

function oneOf<const T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find(word => value === word)
  if (found === undefined) throw new RangeError(`--${option} must be one of ${allowed.join(', ')}`)
  return found
}
