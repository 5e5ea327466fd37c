import type { OracleDemand, OracleNetwork } from './edge-lp-oracle.ts'

/** What a random network may have besides plain links and `multipath` demands. */
export interface RandomNetworkOptions {
  readonly random: () => number
  /** At most so many sites; at least 4. */
  readonly maxNodes: number
  /** Switched sites. Default false. */
  readonly modules?: boolean
  /** Modes of the demands, each as likely. Default multipath. */
  readonly modes?: readonly NonNullable<OracleDemand['mode']>[]
  /** Limits to some demands. Default false. */
  readonly limits?: boolean
  /** Classes, and deadlines of some demands, which the oracle knows nothing of. Default false. */
  readonly classes?: boolean
}

/**
 * A network with the odd cases in it: parallel links, links that are down, parts that hang on one link, sites apart from
 * the rest, rates over four orders of magnitude, weights.
 */
export function randomNetwork(options: RandomNetworkOptions): OracleNetwork {
  const { random, maxNodes, modes = ['multipath'] } = options
  const below = (limit: number) => Math.floor(limit * random())
  const someRate = (from: number, factor: number) => Math.round(from * factor ** random())
  const count = 4 + below(maxNodes - 3)
  const name = (index: number) => `n${index}`
  const nodes = Array.from({ length: count }, (_, index) => ({
    id: name(index),
    ...(options.modules && random() < 0.4 ? { modules: 1 + below(3) } : {}),
  }))
  const pairs: [number, number][] = []
  for (let index = 1; index < count; index++) if (random() > 0.03) pairs.push([index, below(index)])
  for (let extra = below(2 * count); extra > 0; extra--) {
    const a = below(count)
    pairs.push([a, (a + 1 + below(count - 1)) % count])
  }
  const links = pairs.map(([a, b], index) => ({
    id: `l${index}`,
    a: name(a),
    b: name(b),
    rateBps: random() < 0.03 ? 0 : someRate(100, 10_000),
  }))
  if (links.length === 0) links.push({ id: 'l0', a: name(0), b: name(1), rateBps: 1000 })
  const demandCount = 1 + below(Math.min(24, 2 * count))
  const demands = Array.from({ length: demandCount }, (_, index): OracleDemand => {
    const a = below(count)
    const rateBps = someRate(10, 1000)
    return {
      id: `d${index}`,
      a: name(a),
      b: name((a + 1 + below(count - 1)) % count),
      rateBps,
      ...(random() < 0.3 ? { weight: someRate(1, 20) / 4 } : {}),
      mode: modes[below(modes.length)]!,
      ...(options.limits && random() < 0.3 ? { limitBps: someRate(rateBps, 100) } : {}),
      ...(options.classes ? { priority: below(3), ...(random() < 0.2 ? { deadlineMs: 1000 } : {}) } : {}),
    }
  })
  return { nodes, links, demands }
}
