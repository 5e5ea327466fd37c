import type { Highs, Model } from 'highs'

/** Columns in compressed form: entries of column c from starts[c] to starts[c + 1]. Lower bounds are 0. */
export interface SparseColumns {
  readonly starts: Int32Array
  readonly rows: Int32Array
  readonly values: Float64Array
  /** Objective coefficient of each column; the objective is maximised. */
  readonly gain: Float64Array
  readonly upper: Float64Array
}

/** A linear program over columns ≥ 0 as it is first built. */
export interface LpInput {
  readonly columns: SparseColumns
  readonly rowLower: Float64Array
  readonly rowUpper: Float64Array
  /** `simplex` keeps its basis from solve to solve; `interior-point` is faster on one large program. */
  readonly method: 'simplex' | 'interior-point'
}

/** Where a solver stopped. */
export interface LpSolution {
  /** False where the iteration limit came first: values are feasible, prices are those of an unfinished search. */
  readonly optimal: boolean
  readonly values: Float64Array
  readonly rowValues: Float64Array
  /** Gain of the objective for one more unit of each row's bound. */
  readonly rowPrices: Float64Array
  readonly iterations: number
}

/** A linear program that can grow and be solved again from where it stood. */
export interface LpModel {
  addColumns(columns: SparseColumns): void
  /** Holds a column at a value and takes it out of the objective. */
  fixColumn(column: number, value: number): void
  /** @throws {Error} the solver found no solution */
  solve(options?: { maxIterations?: number }): LpSolution
  /** Frees the solver's memory; the model is of no use after it. */
  dispose(): void
}

/** The linear-program solver under the planner. */
export interface LpSolver {
  createModel(input: LpInput): LpModel
}

let loading: Promise<LpSolver | undefined> | undefined

/**
 * HiGHS as WebAssembly, loaded once in each thread; undefined where it cannot run (no package, no WebAssembly), so that
 * the planner approximates instead.
 */
export function loadLpSolver(): Promise<LpSolver | undefined> {
  loading ??= loadHighs().then(
    highs => ({ createModel: input => new HighsModel(highs, input) }),
    () => undefined,
  )
  return loading
}

/** Lets the next `loadLpSolver()` load anew: for a solver that failed. */
export function forgetLpSolver(): void {
  loading = undefined
}

async function loadHighs(): Promise<Highs> {
  const { default: loaded } = await import('highs')
  // The package's types describe its CommonJS build, where the loader lies one `default` deeper than in the ES module.
  return (loaded as unknown as typeof loaded.default)()
}

/** The simplex method in its primal form: a plan with new columns is feasible already, so it goes on from there. */
const PRIMAL_SIMPLEX = 4
/** Amounts are scaled before they come here; the solver's tolerances then hold in our units. */
const NO_SCALING = 0
const NO_ITERATION_LIMIT = 2 ** 31 - 1

class HighsModel implements LpModel {
  readonly #highs: Highs
  readonly #model: Model
  readonly #rowCount: number

  constructor(highs: Highs, { columns, rowLower, rowUpper, method }: LpInput) {
    this.#highs = highs
    this.#rowCount = rowLower.length
    const numCols = columns.gain.length
    this.#model = highs.createModel({
      numCols,
      numRows: this.#rowCount,
      sense: highs.constants.objectiveSense.maximize,
      colCost: columns.gain,
      colLower: new Float64Array(numCols),
      colUpper: columns.upper,
      rowLower,
      rowUpper,
      matrix: this.#matrix(columns),
    })
    this.#model.options.set('output_flag', false)
    this.#model.options.set(
      method === 'simplex'
        ? {
            solver: 'simplex',
            simplex_strategy: PRIMAL_SIMPLEX,
            simplex_scale_strategy: NO_SCALING,
            presolve: 'off',
          }
        : { solver: 'ipm', run_crossover: 'off', presolve: 'off' },
    )
  }

  addColumns(columns: SparseColumns): void {
    const lower = new Float64Array(columns.gain.length)
    this.#model.addCols({ cost: columns.gain, lower, upper: columns.upper, matrix: this.#matrix(columns) })
  }

  fixColumn(column: number, value: number): void {
    this.#model.changeColBounds(column, value, value)
    this.#model.changeColCost(column, 0)
  }

  solve({ maxIterations = NO_ITERATION_LIMIT }: { maxIterations?: number } = {}): LpSolution {
    const model = this.#model
    model.options.set('simplex_iteration_limit', maxIterations)
    model.run()
    if (!this.#isSolved()) {
      // Rounding led the search astray: once more from scratch, by the solver's own choice of method and scaling.
      const options = { presolve: 'off', output_flag: false }
      model.clearSolver()
      model.options.reset()
      model.options.set(options)
      model.run()
      const { optimal } = this.#highs.constants.modelStatus
      if (model.getModelStatus() !== optimal)
        throw new Error(`The LP solver ended with status ${model.getModelStatus()}`)
    }
    const { colValue, rowValue, rowDual } = model.getSolution()
    return {
      optimal: model.getModelStatus() === this.#highs.constants.modelStatus.optimal,
      values: colValue,
      rowValues: rowValue,
      rowPrices: rowDual,
      iterations: Number(model.info.get('simplex_iteration_count')),
    }
  }

  #isSolved(): boolean {
    const { optimal, iterationLimit } = this.#highs.constants.modelStatus
    const status = this.#model.getModelStatus()
    return status === optimal || status === iterationLimit
  }

  dispose(): void {
    this.#model.dispose()
  }

  #matrix({ starts, rows, values, gain }: SparseColumns) {
    const format = 'csc' as const
    return { format, numRows: this.#rowCount, numCols: gain.length, starts, indices: rows, values }
  }
}
