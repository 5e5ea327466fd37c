import type { ColumnPool } from './column-pool.ts'
import { forEachUse } from './graph.ts'
import type { LevelProblem } from './level-problem.ts'
import type { LpModel, LpSolver, SparseColumns } from './lp-solver.ts'

/** Where the program over the known columns stands. */
export interface MasterSolution {
  /** False where the search was cut short: the level holds, the prices say nothing. */
  readonly optimal: boolean
  readonly level: number
  /** Price of each resource, at least 0. */
  readonly prices: Float64Array
  /** Free share of each resource, at least 0. */
  readonly slack: Float64Array
  /** What a column of each demand may cost at most before it is worth having. */
  readonly demandPrices: Float64Array
}

/** What the program over the columns is written from. */
export interface PathMasterOptions {
  readonly solver: LpSolver
  readonly level: LevelProblem
  readonly pool: ColumnPool
  /** Some level near the optimum: amounts are counted in it, so that the solver sees numbers around 1. */
  readonly scale: number
  /** The level stops here. */
  readonly cap: number
}

/**
 * The linear program over the columns of the pool: the highest level such that no resource is overdrawn, every active
 * demand has level × share, every fixed one its rate. Rows are the resources, then the demands. The level is the sum of
 * steps, one column each: demands that stay behind have no entry in the steps after theirs, so that nothing in the
 * solver's basis changes when the rest goes on.
 */
export class PathMaster {
  readonly #model: LpModel
  readonly #level: LevelProblem
  readonly #pool: ColumnPool
  readonly #scale: number
  readonly #row: Int32Array
  /** Bits per second that one unit of a demand's columns stands for: about what the demand gets, so that values are near 1. */
  readonly #unit: Float64Array
  /** Place in the pool of each column of the program; -1 for a step of the level. */
  readonly #places: number[] = []
  /** Columns of the program that are steps of the level. */
  readonly #steps: number[] = []
  readonly #use: Float64Array
  #rowCount: number
  #taken = 0
  #iterations = 0
  #values: Float64Array = new Float64Array(0)

  constructor({ solver, level, pool, scale, cap }: PathMasterOptions) {
    const { problem, active, fixed, rates } = level
    const { resourceCount } = problem.graph
    this.#level = level
    this.#pool = pool
    this.#scale = scale
    this.#unit = problem.share.map(share => scale * share)
    for (const demand of fixed) if (rates[demand]! > 0) this.#unit[demand] = rates[demand]!
    this.#use = new Float64Array(resourceCount)
    this.#row = new Int32Array(problem.demandCount).fill(-1)
    this.#rowCount = resourceCount + active.length + fixed.length
    const rowLower = new Float64Array(this.#rowCount).fill(Number.NEGATIVE_INFINITY)
    const rowUpper = new Float64Array(this.#rowCount).fill(1)
    let row = resourceCount
    for (const demand of [...active, ...fixed]) {
      this.#row[demand] = row
      rowLower[row] = 0
      rowUpper[row++] = Number.POSITIVE_INFINITY
    }
    for (const demand of fixed) rowLower[this.#row[demand]!] = rates[demand]! > 0 ? 1 : 0
    const columns = new ColumnBuilder()
    this.#addStep(columns, active, cap)
    this.#addFromPool(columns)
    this.#model = solver.createModel({ columns: columns.build(), rowLower, rowUpper, method: 'simplex' })
  }

  /** Rows and columns of the program: what one iteration of the solver costs, roughly. */
  get size(): number {
    return this.#rowCount + this.#places.length
  }

  /** Iterations of the solver in all. */
  get iterations(): number {
    return this.#iterations
  }

  /** Takes in what the pool has gained. */
  grow(): void {
    const columns = new ColumnBuilder()
    this.#addFromPool(columns)
    if (columns.count > 0) this.#model.addColumns(columns.build())
  }

  solve(options?: { maxIterations?: number }): MasterSolution {
    const { resourceCount } = this.#level.problem.graph
    const { optimal, values, rowValues, rowPrices, iterations } = this.#model.solve(options)
    this.#iterations += iterations
    this.#values = values
    return {
      optimal,
      level: this.#scale * this.#steps.reduce((sum, column) => sum + values[column]!, 0),
      prices: rowPrices.subarray(0, resourceCount).map(price => Math.max(0, price)),
      slack: rowValues.subarray(0, resourceCount).map(taken => Math.max(0, 1 - taken)),
      demandPrices: Float64Array.from(this.#row, (row, demand) =>
        row < 0 ? 0 : Math.max(0, -rowPrices[row]!) / this.#unit[demand]!,
      ),
    }
  }

  /** Goes on with these demands alone: the others keep what the level gave them so far. */
  raise(active: Int32Array, { above, cap }: { above: number; cap: number }): void {
    const last = this.#steps.at(-1)!
    this.#model.fixColumn(last, this.#values[last]!)
    const columns = new ColumnBuilder()
    this.#addStep(columns, active, Math.max(0, cap - above))
    this.#model.addColumns(columns.build())
  }

  /** Bits per second on every column of the pool in the last solution. */
  flows(): Float64Array {
    const flows = new Float64Array(this.#pool.columns.length)
    this.#places.forEach((place, column) => {
      if (place < 0) return
      flows[place] = Math.max(0, this.#values[column] ?? 0) * this.#unit[this.#pool.columns[place]!.demand]!
    })
    return flows
  }

  dispose(): void {
    this.#model.dispose()
  }

  #addStep(columns: ColumnBuilder, active: Int32Array, room: number): void {
    for (const demand of active) columns.entry(this.#row[demand]!, -1)
    columns.end({ gain: 1, upper: room / this.#scale })
    this.#steps.push(this.#places.length)
    this.#places.push(-1)
  }

  #addFromPool(columns: ColumnBuilder): void {
    const { graph } = this.#level.problem
    const pooled = this.#pool.columns
    for (; this.#taken < pooled.length; this.#taken++) {
      const { demand, paths } = pooled[this.#taken]!
      const row = this.#row[demand]!
      if (row < 0) continue
      const unit = this.#unit[demand]!
      const touched: number[] = []
      forEachUse(graph, paths, (resource, share) => {
        // The solver wants one entry for each resource.
        if (this.#use[resource] === 0) touched.push(resource)
        this.#use[resource]! += share * unit
      })
      for (const resource of touched) {
        columns.entry(resource, this.#use[resource]!)
        this.#use[resource] = 0
      }
      columns.entry(row, 1)
      columns.end({ gain: 0, upper: Number.POSITIVE_INFINITY })
      this.#places.push(this.#taken)
    }
  }
}

/** Collects columns, entry by entry. */
class ColumnBuilder {
  readonly #starts = [0]
  readonly #rows: number[] = []
  readonly #values: number[] = []
  readonly #gain: number[] = []
  readonly #upper: number[] = []

  get count(): number {
    return this.#gain.length
  }

  entry(row: number, value: number): void {
    this.#rows.push(row)
    this.#values.push(value)
  }

  end({ gain, upper }: { gain: number; upper: number }): void {
    this.#starts.push(this.#rows.length)
    this.#gain.push(gain)
    this.#upper.push(upper)
  }

  build(): SparseColumns {
    return {
      starts: Int32Array.from(this.#starts),
      rows: Int32Array.from(this.#rows),
      values: Float64Array.from(this.#values),
      gain: Float64Array.from(this.#gain),
      upper: Float64Array.from(this.#upper),
    }
  }
}
