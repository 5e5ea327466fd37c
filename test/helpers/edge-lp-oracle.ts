import loadHighs from 'highs'

/**
 * A network as the oracle reads it: the fields of a network file, written down here once more, because the oracle shares
 * no code with the planner.
 */
export interface OracleNetwork {
  readonly nodes: readonly { readonly id: string; readonly modules?: number }[]
  readonly links: readonly { readonly id: string; readonly a: string; readonly b: string; readonly rateBps: number }[]
  readonly demands: readonly OracleDemand[]
}

export interface OracleDemand {
  readonly id: string
  readonly a: string
  readonly b: string
  readonly rateBps: number
  readonly weight?: number
  readonly mode?: 'single' | 'multipath' | 'split'
  readonly shares?: number
  readonly limitBps?: number
  readonly priority?: number
  readonly deadlineMs?: number
}

/** What to maximise: the common level (default), or the rate of one demand while others keep theirs at least. */
export interface OracleQuestion {
  /** Ids of the demands that the level counts for; default all of them. */
  readonly demands?: readonly string[]
  /** Least rates by id, in bits per second. */
  readonly atLeastBps?: ReadonlyMap<string, number>
}

const highs = await (
  loadHighs as unknown as () => Promise<{
    solve(problem: string, options: object): { Status: string; ObjectiveValue: number }
  }>
)()

/**
 * The optimum by a linear program over arcs, written as text: the largest level such that every demand has level × weight
 * × rate. Every demand is a flow of its own from a to b over both directions of every link. `single` is read as
 * `multipath`: the answer is then an upper bound. Demands without any route must be left out.
 */
export function solveEdgeLp(network: OracleNetwork, question: OracleQuestion = {}): number {
  const result = highs.solve(writeEdgeLp(network, question), { output_flag: false })
  if (result.Status !== 'Optimal') throw new Error(`The oracle's program is ${result.Status}`)
  return result.ObjectiveValue
}

/** The program in CPLEX's LP format. Amounts are in units of the mean link rate. */
export function writeEdgeLp({ nodes, links, demands }: OracleNetwork, question: OracleQuestion = {}): string {
  const unit = links.reduce((sum, link) => sum + link.rateBps, 0) / links.length
  const counted = new Set(question.demands ?? demands.map(demand => demand.id))
  const ask = demands.map(demand => ((demand.weight ?? 1) * demand.rateBps) / unit)
  const constraints: string[] = []
  const bounds: string[] = []
  const sum = (terms: string[]) => (terms.length === 0 ? '0 level' : terms.join(' + '))

  links.forEach((link, l) => {
    const terms = demands.flatMap((_demand, k) => [`f${k}_${l}_u`, `f${k}_${l}_d`])
    constraints.push(`${sum(terms)} <= ${link.rateBps / unit}`)
  })
  for (const { id, modules } of nodes) {
    if (modules === undefined) continue
    const running = links.flatMap((link, l) =>
      (link.a === id || link.b === id) && link.rateBps > 0
        ? demands.flatMap((_demand, k) => ['u', 'd'].map(way => `${unit / link.rateBps} f${k}_${l}_${way}`))
        : [],
    )
    if (running.length > 0) constraints.push(`${sum(running)} <= ${modules}`)
  }
  demands.forEach((demand, k) => {
    const shares = demand.mode === 'split' ? (demand.shares ?? 2) : 1
    for (const { id } of nodes) {
      const arriving = links.flatMap((link, l) =>
        link.a === id ? [`f${k}_${l}_d`] : link.b === id ? [`f${k}_${l}_u`] : [],
      )
      const leaving = links.flatMap((link, l) =>
        link.a === id ? [`f${k}_${l}_u`] : link.b === id ? [`f${k}_${l}_d`] : [],
      )
      if (arriving.length === 0) continue
      if (id === demand.a) {
        constraints.push(`${sum(arriving)} = 0`)
        constraints.push(`${sum(leaving)} - ${shares} r${k} = 0`)
      } else if (id === demand.b) {
        constraints.push(`${sum(leaving)} = 0`)
      } else {
        constraints.push(`${sum(arriving)} - ${leaving.join(' - ')} = 0`)
        // A unit of split key may send one share through a relay, and one over a link.
        if (shares > 1) constraints.push(`${sum(arriving)} - r${k} <= 0`)
      }
    }
    if (shares > 1) {
      links.forEach((_link, l) => {
        constraints.push(`f${k}_${l}_u - r${k} <= 0`, `f${k}_${l}_d - r${k} <= 0`)
      })
    }
    if (counted.has(demand.id)) constraints.push(`r${k} - ${ask[k]} level >= 0`)
    const least = question.atLeastBps?.get(demand.id)
    if (least !== undefined) constraints.push(`r${k} >= ${least / unit}`)
    if (demand.limitBps !== undefined) bounds.push(`r${k} <= ${demand.limitBps / unit}`)
  })
  const named = constraints.map((constraint, index) => ` c${index}: ${constraint}`)
  return ['Maximize', ' level', 'Subject To', ...named, 'Bounds', ...bounds.map(bound => ` ${bound}`), 'End'].join('\n')
}
