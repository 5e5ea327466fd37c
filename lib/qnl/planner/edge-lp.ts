import type { ColumnPool } from './column-pool.ts'
import { decomposeFlow } from './flow-decomposition.ts'
import type { LevelProblem } from './level-problem.ts'
import type { LpInput, LpSolver } from './lp-solver.ts'
import { type DemandGroup, groupByRoot } from './pricer.ts'

/** What the program over arcs is written from. */
export interface EdgeProgramOptions {
  readonly solver: LpSolver
  readonly level: LevelProblem
  readonly pool: ColumnPool
  /** Some level near the optimum. */
  readonly scale: number
  /** The level stops here. */
  readonly cap: number
}

/** What the whole program gives at once. */
export interface EdgeSolution {
  readonly level: number
  /** Price of each resource, at least 0. */
  readonly prices: Float64Array
  /** Bits per second on the columns of the pool, which has got the paths of the optimum. */
  readonly flows: Float64Array
}

/**
 * True where the edge program is cheaper than column generation. Its cost goes with roots × arcs, that of column
 * generation with the square of the demands: measured, they meet where demands² = 2,000 × roots × arcs.
 */
export function suitsEdgeProgram({ problem, active, fixed }: LevelProblem): boolean {
  if (fixed.length > 0 || active.some(demand => problem.pathsPerColumn[demand] !== 1)) return false
  const roots = groupByRoot(problem, active).length
  return active.length ** 2 > 2000 * roots * problem.graph.arcHead.length
}

/**
 * The highest level as one linear program: for every root of demands the flow on every arc, with conservation at every
 * node, by an interior-point method without crossover. Only for demands of one path a column, none fixed.
 */
export function solveEdgeProgram(options: EdgeProgramOptions): EdgeSolution {
  const { solver, level, pool, scale } = options
  const { problem, active } = level
  const groups = groupByRoot(problem, active)
  const wanted = groups.map(group => wantedByNode(level, group))
  // Amounts are counted in the largest sum of shares that leaves one root, so that the solver sees numbers around 1.
  const unit = scale * Math.max(...wanted.map(shares => shares.reduce((sum, share) => sum + share, 0)))
  const model = solver.createModel(buildProgram({ ...options, groups, wanted, unit }))
  try {
    const { values, rowPrices } = model.solve()
    const reached = values[0]! * scale
    const flows: number[] = []
    const arcCount = problem.graph.arcHead.length
    groups.forEach(({ root, demands }, index) => {
      const arcFlows = values.slice(1 + index * arcCount, 1 + (index + 1) * arcCount).map(flow => flow * unit)
      const rates = demands.map(demand => ({
        demand,
        node: farEnd(level, demand, root),
        rateBps: problem.share[demand]! * reached,
      }))
      decomposeFlow({
        graph: problem.graph,
        flow: { root, arcFlows, wanted: rates },
        pool,
        report(place, rateBps) {
          flows[place] = (flows[place] ?? 0) + rateBps
        },
      })
    })
    return {
      level: reached,
      prices: rowPrices.subarray(0, problem.graph.resourceCount).map(price => Math.max(0, price)),
      flows: Float64Array.from(pool.columns, (_column, place) => flows[place] ?? 0),
    }
  } finally {
    model.dispose()
  }
}

function farEnd({ problem }: LevelProblem, demand: number, root: number): number {
  return problem.source[demand] === root ? problem.target[demand]! : problem.source[demand]!
}

/** Share that each node asks of the root. */
function wantedByNode(level: LevelProblem, { root, demands }: DemandGroup): Float64Array {
  const wanted = new Float64Array(level.problem.graph.nodeCount)
  for (const demand of demands) wanted[farEnd(level, demand, root)]! += level.problem.share[demand]!
  return wanted
}

/** Column 0 is the level, then the arcs root by root; rows are the resources, then the nodes root by root. */
function buildProgram(
  options: EdgeProgramOptions & {
    readonly groups: readonly DemandGroup[]
    readonly wanted: readonly Float64Array[]
    readonly unit: number
  },
): LpInput {
  const { level, groups, wanted, unit, scale, cap } = options
  const { nodeCount, resourceCount, arcStart, arcHead, arcLink, useStart, useResource, useShare } = level.problem.graph
  const starts = [0]
  const rows: number[] = []
  const values: number[] = []
  const rowOf = (group: number, node: number) => resourceCount + group * nodeCount + node
  wanted.forEach((shares, group) => {
    shares.forEach((share, node) => {
      if (share === 0) return
      rows.push(rowOf(group, node))
      values.push((-share * scale) / unit)
    })
  })
  starts.push(rows.length)
  groups.forEach(({ root }, group) => {
    for (let tail = 0; tail < nodeCount; tail++) {
      for (let arc = arcStart[tail]!; arc < arcStart[tail + 1]!; arc++) {
        const link = arcLink[arc]!
        for (let use = useStart[link]!; use < useStart[link + 1]!; use++) {
          rows.push(useResource[use]!)
          values.push(useShare[use]! * unit)
        }
        if (tail !== root) {
          rows.push(rowOf(group, tail))
          values.push(-1)
        }
        if (arcHead[arc] !== root) {
          rows.push(rowOf(group, arcHead[arc]!))
          values.push(1)
        }
        starts.push(rows.length)
      }
    }
  })
  const columnCount = starts.length - 1
  const rowCount = rowOf(groups.length, 0)
  const gain = new Float64Array(columnCount)
  gain[0] = 1
  const upper = new Float64Array(columnCount).fill(Number.POSITIVE_INFINITY)
  upper[0] = cap / scale
  return {
    columns: {
      starts: Int32Array.from(starts),
      rows: Int32Array.from(rows),
      values: Float64Array.from(values),
      gain,
      upper,
    },
    rowLower: new Float64Array(rowCount).fill(Number.NEGATIVE_INFINITY, 0, resourceCount),
    rowUpper: new Float64Array(rowCount).fill(1, 0, resourceCount),
    method: 'interior-point',
  }
}
