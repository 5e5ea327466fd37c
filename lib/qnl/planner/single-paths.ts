import type { ColumnPool, Paths } from './column-pool.ts'
import { loadsOf } from './flows.ts'
import { forEachUse } from './graph.ts'
import type { Problem } from './problem.ts'
import { ShortestPaths } from './shortest-paths.ts'

/** Who needs one path, and what a plan with many gave them. */
export interface SinglePathOptions {
  readonly problem: Problem
  /** The demands that must take one path each. */
  readonly demands: readonly number[]
  readonly pool: ColumnPool
  /** The plan that may split them. */
  readonly flows: ArrayLike<number>
  /** The level of that plan. */
  readonly lambda: number
}

/** Work in all, in searches × links. */
const EFFORT = 1e7
/** Searches for small networks, whose effort would allow for many more than help. */
const MAX_SEARCHES = 6000

/**
 * Chooses one path for each demand so that the fullest resource is as empty as possible: first all demands in turn, under
 * prices that rise ever more sharply with load; then again and again those on the fullest resource and a few at random are
 * taken out and put back, and the change is kept if it does good. The problem is NP-hard, so this is no optimum: the plan's
 * gap says how far from one it can be.
 */
export function chooseSinglePaths(options: SinglePathOptions): Map<number, Paths> {
  const { problem, demands, pool, flows } = options
  const widest = new Map(demands.map(demand => [demand, widestColumn(pool, flows, demand)]))
  const routing = new SingleRouting(
    { ...options, lambda: Math.max(options.lambda, faintLevel(options, widest)) },
    widest,
  )
  const searches = Math.min(MAX_SEARCHES, EFFORT / problem.graph.linkCount)
  routing.settle()
  while (routing.searches < searches) routing.stir()
  return routing.choice
}

function widestColumn(pool: ColumnPool, flows: ArrayLike<number>, demand: number): Paths {
  const places = pool.byDemand[demand]!
  const widest = places.reduce((best, place) => ((flows[place] ?? 0) > (flows[best] ?? 0) ? place : best), places[0]!)
  return pool.columns[widest]!.paths
}

/**
 * Where somebody gets next to nothing, the level of the plan says nothing about the others: then a level is taken that
 * fills no resource by more than a thousandth.
 */
function faintLevel({ problem, demands }: SinglePathOptions, choice: ReadonlyMap<number, Paths>): number {
  const loads = new Float64Array(problem.graph.resourceCount)
  for (const demand of demands) {
    forEachUse(problem.graph, choice.get(demand)!, (resource, share) => {
      loads[resource]! += share * problem.share[demand]!
    })
  }
  return 0.001 / maximum(loads)
}

/** How sharply the fullest resource dominates while the plan settles. */
const SETTLING = [4, 8, 16, 32, 64, 128, 256]
/** The same where two plans are compared. */
const JUDGING = 128
/** Exponents end here: beyond it all is equally bad, and nothing overflows. */
const MOST = 300
/** Demands at random that are taken out with those on the fullest resource. */
const STIRRED = 4

class SingleRouting {
  choice: Map<number, Paths>
  /** Searches for a path so far. */
  searches = 0
  /** How full the fullest resource is in the best plan so far: what loads are measured in. */
  #fullest: number
  readonly #problem: Problem
  readonly #demands: readonly number[]
  readonly #lambda: number
  readonly #search: ShortestPaths
  readonly #lengths: Float64Array
  readonly #random = repeatableRandom()
  #loads: Float64Array

  constructor({ problem, demands, pool, flows, lambda }: SinglePathOptions, choice: Map<number, Paths>) {
    const isSingle = new Set(demands)
    const others = Float64Array.from(flows, (flow, place) => (isSingle.has(pool.columns[place]!.demand) ? 0 : flow))
    this.#problem = problem
    this.#demands = demands.toSorted((p, q) => problem.share[q]! - problem.share[p]!)
    this.#lambda = lambda
    this.#search = new ShortestPaths(problem.graph)
    this.#lengths = new Float64Array(problem.graph.linkCount)
    this.#loads = loadsOf(problem.graph, pool, others)
    this.choice = choice
    for (const demand of demands) this.#add(demand, 1)
    this.#fullest = maximum(this.#loads)
  }

  /** Lets every demand choose anew in turn, round by round; keeps the best round. */
  settle(): void {
    let best = { choice: new Map(this.choice), loads: this.#loads.slice() }
    for (const sharpness of SETTLING) {
      for (const demand of this.#demands) {
        this.#add(demand, -1)
        this.#route(demand, sharpness)
      }
      const fullest = maximum(this.#loads)
      if (fullest >= this.#fullest) continue
      this.#fullest = fullest
      best = { choice: new Map(this.choice), loads: this.#loads.slice() }
    }
    this.choice = best.choice
    this.#loads = best.loads
  }

  /** Takes some demands out, puts them back in another order, and undoes it if that makes the plan worse. */
  stir(): void {
    const before = { choice: new Map(this.choice), loads: this.#loads.slice(), cost: this.#cost() }
    const taken = this.#pick(this.#loads.indexOf(maximum(this.#loads)))
    for (const demand of taken) this.#add(demand, -1)
    const sharpness = SETTLING[2 + Math.floor(this.#random() * (SETTLING.length - 2))]!
    for (const demand of taken) this.#route(demand, sharpness)
    if (this.#cost() > before.cost) {
      this.choice = before.choice
      this.#loads = before.loads
    } else this.#fullest = maximum(this.#loads)
  }

  /** The demands on a resource and a few others, in random order. */
  #pick(resource: number): number[] {
    const picked = new Set(this.#demands.filter(demand => this.#uses(demand, resource)))
    for (let more = 0; more < STIRRED; more++) {
      picked.add(this.#demands[Math.floor(this.#random() * this.#demands.length)]!)
    }
    return [...picked]
      .map(demand => ({ demand, turn: this.#random() }))
      .sort((p, q) => p.turn - q.turn)
      .map(({ demand }) => demand)
  }

  #uses(demand: number, resource: number): boolean {
    let found = false
    forEachUse(this.#problem.graph, this.choice.get(demand)!, used => {
      if (used === resource) found = true
    })
    return found
  }

  /** Puts a demand on the path over which the sum of exp(sharpness × load) grows least. */
  #route(demand: number, sharpness: number): void {
    const { source, target, share } = this.#problem
    this.#price(sharpness / this.#fullest, this.#lambda * share[demand]!)
    this.#search.run(source[demand]!, this.#lengths)
    this.choice.set(demand, [this.#search.path(source[demand]!, target[demand]!)])
    this.#add(demand, 1)
    this.searches++
  }

  #price(steepness: number, amount: number): void {
    const { linkCount, useStart, useResource, useShare } = this.#problem.graph
    for (let link = 0; link < linkCount; link++) {
      let length = 0
      for (let use = useStart[link]!; use < useStart[link + 1]!; use++) {
        const level = steepness * (this.#loads[useResource[use]!]! - this.#fullest)
        length += Math.exp(Math.min(MOST, level)) * Math.expm1(Math.min(MOST, steepness * amount * useShare[use]!))
      }
      this.#lengths[link] = length
    }
  }

  /** What plans are compared by. */
  #cost(): number {
    const steepness = JUDGING / this.#fullest
    return this.#loads.reduce((sum, load) => sum + Math.exp(Math.min(MOST, steepness * (load - this.#fullest))), 0)
  }

  #add(demand: number, times: 1 | -1): void {
    const amount = times * this.#lambda * this.#problem.share[demand]!
    forEachUse(this.#problem.graph, this.choice.get(demand)!, (resource, share) => {
      this.#loads[resource]! += share * amount
    })
  }
}

function maximum(values: Float64Array): number {
  let most = 0
  for (const value of values) if (value > most) most = value
  return most
}

/** The same numbers in [0, 1) for every plan: equal input gives an equal plan. Nothing secret hangs on them. */
function repeatableRandom(): () => number {
  let state = 1
  return () => {
    state = (state * 48_271) % 0x7fffffff
    return state / 0x7fffffff
  }
}
