import type { NetworkFile } from '../../lib/qnl/planner/network.ts'

/** The common level that hop-count routing reaches: every demand over one path of fewest links, the first one found. */
export function hopCountLevel({ nodes, links, demands }: NetworkFile): number {
  const neighbours = new Map(nodes.map(({ id }) => [id, [] as { to: string; link: number }[]]))
  links.forEach(({ a, b, rateBps }, link) => {
    if (rateBps === 0) return
    neighbours.get(a)!.push({ to: b, link })
    neighbours.get(b)!.push({ to: a, link })
  })
  const loads = new Float64Array(links.length)
  for (const { id: source } of nodes) {
    const entry = new Map<string, { from: string; link: number }>()
    const reached = new Set([source])
    for (const from of reached) {
      for (const { to, link } of neighbours.get(from)!) {
        if (reached.has(to)) continue
        reached.add(to)
        entry.set(to, { from, link })
      }
    }
    for (const { a, b, rateBps, weight = 1 } of demands) {
      if (a !== source) continue
      for (let at = entry.get(b); at !== undefined; at = entry.get(at.from)) loads[at.link]! += rateBps * weight
    }
  }
  return Math.min(
    ...links.map(({ rateBps }, link) => (loads[link]! > 0 ? rateBps / loads[link]! : Number.POSITIVE_INFINITY)),
  )
}
