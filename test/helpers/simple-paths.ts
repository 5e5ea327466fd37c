import type { OracleNetwork } from './edge-lp-oracle.ts'

/** A path that meets no node twice. */
export interface SimplePath {
  readonly nodes: readonly string[]
  readonly links: readonly string[]
}

/** All simple paths between two nodes over links that are up; for small networks. */
export function simplePaths({ links }: OracleNetwork, a: string, b: string): SimplePath[] {
  const found: SimplePath[] = []
  const extend = (nodes: string[], path: string[]) => {
    const at = nodes.at(-1)!
    if (at === b) {
      found.push({ nodes, links: path })
      return
    }
    for (const link of links) {
      const next = link.a === at ? link.b : link.b === at ? link.a : undefined
      if (next === undefined || link.rateBps === 0 || nodes.includes(next)) continue
      extend([...nodes, next], [...path, link.id])
    }
  }
  extend([a], [])
  return found
}
