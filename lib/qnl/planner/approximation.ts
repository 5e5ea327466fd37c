import type { ColumnPool, Paths } from './column-pool.ts'
import { loadsOf } from './flows.ts'
import { forEachUse, priceLinks } from './graph.ts'
import { type LevelProblem, levelCap } from './level-problem.ts'
import type { Ground } from './max-min-levels.ts'
import { PriceBound } from './price-bound.ts'
import type { Pricer } from './pricer.ts'

/** What to approximate, and how far. */
export interface ApproximationOptions {
  readonly level: LevelProblem
  readonly pool: ColumnPool
  readonly pricer: Pricer
  /** Bits per second on the columns of the fixed demands, which keep their routes here. */
  readonly fixedFlows: Float64Array
  /** Stop when the level is within this fraction of the bound. */
  readonly gap: number
}

/** By what part a resource's price rises when it is filled once. */
const EPSILON = 0.3
/** Work after which it stops with the gap it has: searches × links. */
const EFFORT = 5e7
const MAX_PHASES = 320
/** A resource with no more room than this is full. */
const FULL = 1e-9
/** Phases between two looks at the gap. */
const LOOK_EVERY = 10

/**
 * The highest level without a linear program (Garg and Könemann, in the form of Fleischer): in each phase every demand is
 * routed once over its shortest column, and what that fills gets dearer at once. The average of the phases tends to the
 * optimum; the prices certify how near it is. The average begins anew whenever the number of phases has doubled, because
 * the first ones knew little.
 */
export function approximateLevel(options: ApproximationOptions): Ground {
  const { level, pool, pricer, gap } = options
  const { problem, active } = level
  const bound = new PriceBound(level, pricer)
  const cap = levelCap(level)
  const phases = new Phases(options)
  if (!phases.hasRoom) {
    // As long as the fixed demands keep their routes, somebody gets nothing; the others get the column with most room.
    bound.try(phases.prices, (demand, _length, takeColumn) => {
      pool.add(demand, takeColumn())
    })
    const flows = Float64Array.from(pool.columns, (_column, place) => options.fixedFlows[place] ?? 0)
    return { lambda: 0, bound: bound.bound, flows, rates: level.rates, open: active }
  }
  const most = Math.min(MAX_PHASES, Math.ceil(EFFORT / (pricer.searches * problem.graph.linkCount)))
  let best = { lambda: 0, flows: options.fixedFlows }
  let renewAt = 2 * LOOK_EVERY
  for (let done = 0; done < most && !bound.isReachedBy(best.lambda, gap); done += LOOK_EVERY) {
    if (done === renewAt) {
      phases.renew()
      renewAt *= 2
    }
    for (let step = 0; step < LOOK_EVERY; step++) phases.run()
    bound.try(phases.prices, () => {})
    const reached = phases.levelReached
    const lambda = Math.min(cap, reached)
    if (lambda > best.lambda) best = { lambda, flows: phases.flows(lambda / reached) }
  }
  const rates = level.rates.slice()
  for (const demand of active) rates[demand] = best.lambda * problem.share[demand]!
  const flows = Float64Array.from(pool.columns, (_column, place) => best.flows[place] ?? 0)
  return { lambda: best.lambda, bound: Math.max(best.lambda, bound.bound), flows, rates, open: active }
}

/** What the phases have routed, and the prices that came of it. */
class Phases {
  /** Price of each resource as a whole. */
  readonly prices: Float64Array
  readonly #options: ApproximationOptions
  readonly #isActive: Uint8Array
  /** Share of each resource that the fixed demands leave. */
  readonly #room: Float64Array
  readonly #used: Float64Array
  readonly #lengths: Float64Array
  #routed: number[] = []
  #count = 0
  /** Level routed in each phase: fills the fullest resource about once. */
  readonly #unit: number

  constructor(options: ApproximationOptions) {
    const { level, pool, fixedFlows } = options
    const { graph } = level.problem
    this.#options = options
    this.#isActive = new Uint8Array(level.problem.demandCount)
    for (const demand of level.active) this.#isActive[demand] = 1
    this.#room = loadsOf(graph, pool, fixedFlows).map(load => Math.max(FULL, 1 - load))
    this.#used = new Float64Array(graph.resourceCount)
    this.#lengths = new Float64Array(graph.linkCount)
    this.prices = this.#room.map(room => 1 / room)
    this.#unit = 1 / this.#routeAll(() => {}, 1)
    this.#used.fill(0)
  }

  /** False where some active demand has no path but over what is full. */
  get hasRoom(): boolean {
    const { level, pricer } = this.#options
    const prices = this.#room.map(room => (room > FULL ? 1 : Number.POSITIVE_INFINITY))
    priceLinks(level.problem.graph, prices, this.#lengths)
    let hasRoom = true
    pricer.run(this.#lengths, (demand, length) => {
      if (this.#isActive[demand] === 1 && length === Number.POSITIVE_INFINITY) hasRoom = false
    })
    return hasRoom
  }

  /** The level that the average of the phases has, made feasible. */
  get levelReached(): number {
    return (this.#count * this.#unit) / this.#fullest()
  }

  /** Forgets what was routed, not the prices. */
  renew(): void {
    this.#routed = []
    this.#count = 0
    this.#used.fill(0)
  }

  run(): void {
    const { graph } = this.#options.level.problem
    this.#routeAll((demand, paths, amount) => {
      const place = this.#options.pool.placeOf(demand, paths)
      this.#routed[place] = (this.#routed[place] ?? 0) + amount
      for (const path of paths) {
        for (const link of path) {
          let length = 0
          for (let use = graph.useStart[link]!; use < graph.useStart[link + 1]!; use++) {
            const resource = graph.useResource[use]!
            const share = graph.useShare[use]!
            this.prices[resource]! *= 1 + (EPSILON * share * amount) / this.#room[resource]!
            length += share * this.prices[resource]!
          }
          this.#lengths[link] = length
        }
      }
    }, this.#unit)
    this.#count++
    const dearest = this.prices.reduce((most, price) => Math.max(most, price), 0)
    if (dearest > 1e100) for (let r = 0; r < this.prices.length; r++) this.prices[r]! /= dearest
  }

  /** Bits per second on each column: the average of the phases times `factor`, made feasible, and the fixed flows. */
  flows(factor: number): Float64Array {
    const scale = factor / this.#fullest()
    const { pool, fixedFlows } = this.#options
    return Float64Array.from(
      pool.columns,
      (_column, place) => (fixedFlows[place] ?? 0) + scale * (this.#routed[place] ?? 0),
    )
  }

  #fullest(): number {
    let fullest = 0
    for (let resource = 0; resource < this.#used.length; resource++) {
      fullest = Math.max(fullest, this.#used[resource]! / this.#room[resource]!)
    }
    return fullest
  }

  /** Routes `unit` × share of every active demand, counts it as used, and returns how full the fullest resource is. */
  #routeAll(routed: (demand: number, paths: Paths, amount: number) => void, unit: number): number {
    const { level, pricer } = this.#options
    const { graph, share } = level.problem
    priceLinks(graph, this.prices, this.#lengths)
    pricer.run(this.#lengths, (demand, _length, takeColumn) => {
      if (this.#isActive[demand] === 0) return
      const paths = takeColumn()
      const amount = unit * share[demand]!
      forEachUse(graph, paths, (resource, resourceShare) => {
        this.#used[resource]! += resourceShare * amount
      })
      routed(demand, paths, amount)
    })
    return this.#fullest()
  }
}
