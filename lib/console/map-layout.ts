/** A place on the map, each coordinate from 0 to 1. */
export interface Place {
  readonly x: number
  readonly y: number
}

/** More sites than this stand in a circle: the springs of so many take longer than anybody waits. */
const MOST_BY_SPRINGS = 400

/** Rounds until the places are where they stay. */
const ROUNDS = 250

/**
 * Places for sites, by springs: linked ones attract and all repel each other (Fruchterman and Reingold, 1991). The same
 * network gives the same map.
 */
export function layOut(
  ids: readonly string[],
  links: readonly { readonly a: string; readonly b: string }[],
): Map<string, Place> {
  const count = ids.length
  const index = new Map(ids.map((id, at) => [id, at]))
  const x = new Float64Array(count)
  const y = new Float64Array(count)
  for (let at = 0; at < count; at++) {
    x[at] = Math.cos((2 * Math.PI * at) / count)
    y[at] = Math.sin((2 * Math.PI * at) / count)
  }
  const ideal = Math.sqrt(4 / Math.max(1, count))
  const ends = links.map(({ a, b }) => [index.get(a)!, index.get(b)!] as const)
  const fx = new Float64Array(count)
  const fy = new Float64Array(count)
  const rounds = count > MOST_BY_SPRINGS ? 0 : ROUNDS
  for (let round = 0; round < rounds; round++) {
    fx.fill(0)
    fy.fill(0)
    const push = (p: number, q: number, strength: (distance: number) => number) => {
      const dx = x[p]! - x[q]!
      const dy = y[p]! - y[q]!
      const distance = Math.max(1e-3, Math.hypot(dx, dy))
      const force = strength(distance) / distance
      fx[p]! += dx * force
      fy[p]! += dy * force
      fx[q]! -= dx * force
      fy[q]! -= dy * force
    }
    for (let p = 0; p < count; p++) for (let q = 0; q < p; q++) push(p, q, distance => (ideal * ideal) / distance)
    for (const [p, q] of ends) push(p, q, distance => -(distance * distance) / ideal)
    const most = 0.1 * (1 - round / ROUNDS)
    for (let at = 0; at < count; at++) {
      const length = Math.max(1e-9, Math.hypot(fx[at]!, fy[at]!))
      const step = Math.min(length, most) / length
      x[at]! += fx[at]! * step
      y[at]! += fy[at]! * step
    }
  }
  const scaled = (values: Float64Array) => {
    const low = Math.min(...values)
    const size = Math.max(...values) - low
    // Places on one line are in the middle of the map, not at its edge.
    return values.map(value => (size < 1e-3 ? 0.5 : (value - low) / size))
  }
  const [sx, sy] = [scaled(x), scaled(y)]
  return new Map(ids.map((id, at) => [id, { x: sx[at]!, y: sy[at]! }]))
}
