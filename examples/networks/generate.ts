import { fibreRateBps } from './fibre-rate.ts'
import { seededRandom } from './random.ts'

/** What to generate. The same values give the same network on every machine. */
export interface GenerateOptions {
  /** `metro`: hubs on a ring, sites homed on one or two of them. `national`: a mesh of the nearest cities. */
  readonly kind: 'metro' | 'national'
  /** Number of sites, at least 4. */
  readonly nodes: number
  /** Number of links, from `nodes` up to all pairs. */
  readonly links: number
  /** Number of demands, up to all pairs. Default all pairs. */
  readonly demands?: number | undefined
  /**
   * `gravity` (default): the pairs of most traffic, which grows with the size of both sites and in the nation falls with
   * their distance. `even`: pairs at random, rates within a factor of ten; the hardest to plan.
   */
  readonly traffic?: 'gravity' | 'even'
  /** Any 32-bit integer. */
  readonly seed: number
}

/** A network in the form that `qkd network plan` reads. */
export interface GeneratedNetwork {
  readonly nodes: { id: string }[]
  readonly links: { id: string; a: string; b: string; rateBps: number }[]
  readonly demands: { id: string; a: string; b: string; rateBps: number }[]
}

interface Place {
  readonly id: string
  readonly x: number
  readonly y: number
  /** Share of the traffic that begins or ends here. */
  readonly size: number
}

/** Fibre runs along roads: its length over that of the straight line. */
const DETOUR = 1.3

/** A seeded network of real proportions: places, fibre between them, decoy-BB84 rates, demand. */
export function generateNetwork(options: GenerateOptions): GeneratedNetwork {
  const { kind, nodes, links, demands = (nodes * (nodes - 1)) / 2, traffic = 'gravity', seed } = options
  if (!(Number.isInteger(nodes) && nodes >= 4)) throw new RangeError('nodes must be an integer from 4 up')
  const pairCount = (nodes * (nodes - 1)) / 2
  if (!(links >= nodes && links <= pairCount)) throw new RangeError(`links must be from ${nodes} to ${pairCount}`)
  if (!(demands >= 1 && demands <= pairCount)) throw new RangeError(`demands must be from 1 to ${pairCount}`)
  const random = seededRandom(seed)
  const places = scatter({ nodes, sideKm: kind === 'metro' ? 40 : 900, random })
  const pairs = kind === 'metro' ? metroLinks(places, links) : nationalLinks(places, links)
  return {
    nodes: places.map(({ id }) => ({ id })),
    links: pairs.map(([a, b]) => ({
      id: `${a.id}-${b.id}`,
      a: a.id,
      b: b.id,
      rateBps: fibreRateBps(DETOUR * distanceKm(a, b)),
    })),
    demands: drawDemands({ places, count: demands, traffic, distanceMatters: kind === 'national', random }),
  }
}

/** The network as JSON, a site, link or demand a line. */
export function formatNetwork(network: GeneratedNetwork): string {
  const lists = Object.entries(network).map(([name, items]) => {
    const lines = (items as object[]).map(item => `    ${JSON.stringify(item, null, 1).replace(/\n\s*/g, ' ')}`)
    return `  "${name}": [\n${lines.join(',\n')}\n  ]`
  })
  return `{\n${lists.join(',\n')}\n}`
}

/** Places far from each other: each is the best of ten tries. Sizes fall off as those of cities do. */
function scatter({ nodes, sideKm, random }: { nodes: number; sideKm: number; random: () => number }): Place[] {
  const places: Place[] = []
  const digits = String(nodes - 1).length
  while (places.length < nodes) {
    const index = places.length
    const id = `s${String(index).padStart(digits, '0')}`
    const tries = Array.from({ length: 10 }, () => {
      const place = { id, x: sideKm * random(), y: sideKm * random(), size: 1 / (1 + index) ** 0.7 }
      return { place, roomKm: Math.min(...places.map(other => distanceKm(place, other))) }
    })
    places.push(tries.reduce((best, next) => (next.roomKm > best.roomKm ? next : best)).place)
  }
  return places
}

/** Hubs on a ring, every other site on its nearest hub, then second homes, then chords, shortest first. */
function metroLinks(places: readonly Place[], count: number): [Place, Place][] {
  const centre = { x: 20, y: 20 }
  const hubs = places.slice(0, Math.max(3, Math.round(places.length / 6)))
  const ring = hubs.toSorted(
    (p, q) => Math.atan2(p.y - centre.y, p.x - centre.x) - Math.atan2(q.y - centre.y, q.x - centre.x),
  )
  const links = new LinkSet()
  ring.forEach((hub, index) => {
    links.add(hub, ring[(index + 1) % ring.length]!)
  })
  const rest = places.slice(hubs.length)
  const homes = rest.map(site => ({ site, hubs: hubs.toSorted((p, q) => distanceKm(site, p) - distanceKm(site, q)) }))
  for (const { site, hubs: nearest } of homes) links.add(site, nearest[0]!)
  for (const { site, hubs: nearest } of homes) if (links.size < count) links.add(site, nearest[1]!)
  links.fill(places, count)
  return links.pairs
}

/** The shortest tree, so that the network is one; then the shortest links that pass no other place; then the shortest. */
function nationalLinks(places: readonly Place[], count: number): [Place, Place][] {
  const links = new LinkSet()
  const [first, ...others] = places
  // Where each place outside the tree would join it.
  const nearest = new Map(others.map(place => [place, { from: first!, km: distanceKm(first!, place) }]))
  while (nearest.size > 0) {
    const [next, { from }] = [...nearest].reduce((best, other) => (other[1].km < best[1].km ? other : best))
    nearest.delete(next)
    links.add(from, next)
    for (const [place, joint] of nearest) {
      const km = distanceKm(next, place)
      if (km < joint.km) nearest.set(place, { from: next, km })
    }
  }
  const square = (p: Place, q: Place) => (p.x - q.x) ** 2 + (p.y - q.y) ** 2
  const free = (a: Place, b: Place) =>
    places.every(c => c === a || c === b || square(a, c) + square(b, c) >= square(a, b))
  links.fill(places, count, free)
  links.fill(places, count)
  return links.pairs
}

/** Links by pair of places, each once. */
class LinkSet {
  readonly pairs: [Place, Place][] = []
  readonly #known = new Set<string>()

  get size(): number {
    return this.pairs.length
  }

  add(a: Place, b: Place): void {
    const [first, second] = a.id < b.id ? [a, b] : [b, a]
    const key = `${first.id}-${second.id}`
    if (this.#known.has(key)) return
    this.#known.add(key)
    this.pairs.push([first, second])
  }

  /** Adds the shortest pairs that `accept` takes until there are `count` links. */
  fill(places: readonly Place[], count: number, accept: (a: Place, b: Place) => boolean = () => true): void {
    const pairs = allPairs(places).map(([a, b]) => ({ a, b, km: distanceKm(a, b) }))
    for (const { a, b } of pairs.sort((p, q) => p.km - q.km)) {
      if (this.size >= count) return
      if (accept(a, b)) this.add(a, b)
    }
  }
}

/** Demands of 1 Mb/s in all. */
function drawDemands(options: {
  places: readonly Place[]
  count: number
  traffic: 'gravity' | 'even'
  distanceMatters: boolean
  random: () => number
}): GeneratedNetwork['demands'] {
  const { places, count, traffic, distanceMatters, random } = options
  const pairs = allPairs(places).map(([a, b]) => {
    const chance = random()
    if (traffic === 'even') return { a, b, amount: 1 + 9 * random(), rank: chance }
    const amount = ((0.5 + chance) * a.size * b.size) / (distanceMatters ? distanceKm(a, b) : 1)
    return { a, b, amount, rank: amount }
  })
  const wanted = pairs.sort((p, q) => q.rank - p.rank).slice(0, count)
  const total = wanted.reduce((sum, { amount }) => sum + amount, 0)
  return wanted.map(({ a, b, amount }) => ({
    id: `${a.id}:${b.id}`,
    a: a.id,
    b: b.id,
    rateBps: Math.max(1, Math.round((1e6 * amount) / total)),
  }))
}

function allPairs(places: readonly Place[]): [Place, Place][] {
  return places.flatMap((a, index) => places.slice(index + 1).map((b): [Place, Place] => [a, b]))
}

function distanceKm(p: { x: number; y: number }, q: { x: number; y: number }): number {
  return Math.sqrt((p.x - q.x) ** 2 + (p.y - q.y) ** 2)
}
