import type { OracleNetwork } from './edge-lp-oracle.ts'

/** A plan as the audit reads it: the JSON of `qkd network plan`, with nothing taken from the planner's own types. */
export interface AuditedPlan {
  readonly lambda: number
  readonly bound: number
  readonly gap: number
  readonly demands: readonly {
    readonly id: string
    readonly rateBps: number
    readonly level: number
    readonly reason?: string
    readonly paths: readonly {
      readonly nodes: readonly string[]
      readonly links: readonly string[]
      readonly rateBps: number
      readonly set?: number
    }[]
  }[]
  readonly links: readonly { readonly id: string; readonly loadBps: number; readonly timeShare?: number }[]
}

/** Part of a value by which sums of floating-point numbers may differ. */
const ROUNDING = 1e-9

/** Everything in the plan that is untrue of the network, in words; empty for a plan that can be run as it stands. */
export function auditPlan(network: OracleNetwork, plan: AuditedPlan): string[] {
  const faults: string[] = []
  const check = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault)
  }
  const isAbout = (value: number, other: number) => Math.abs(value - other) <= ROUNDING * Math.max(value, other, 1e-12)
  const linkById = new Map(network.links.map(link => [link.id, link]))
  const loads = new Map(network.links.map(link => [link.id, 0]))
  check(plan.demands.length === network.demands.length, 'not every demand is in the plan')
  let least = Number.POSITIVE_INFINITY
  network.demands.forEach((asked, index) => {
    const planned = plan.demands[index]!
    const name = `demand ${asked.id}`
    check(planned.id === asked.id, `${name} is not where it stands in the file`)
    check(
      planned.rateBps <= (asked.limitBps ?? Number.POSITIVE_INFINITY) * (1 + ROUNDING),
      `${name} is above its limit`,
    )
    const share = asked.rateBps * (asked.weight ?? 1)
    if (planned.reason === undefined) {
      check(isAbout(planned.level, planned.rateBps / share), `${name} has another level than its rate`)
      least = Math.min(least, planned.level)
    } else check(planned.rateBps === 0 && planned.paths.length === 0, `${name} is unserved and yet has key`)
    for (const path of planned.paths) {
      check(path.rateBps > 0, `${name} has a path without rate`)
      check(path.nodes[0] === asked.a && path.nodes.at(-1) === asked.b, `${name} has a path between other sites`)
      check(new Set(path.nodes).size === path.nodes.length, `${name} has a path that meets itself`)
      check(path.nodes.length === path.links.length + 1, `${name} has a path with a wrong number of sites`)
      path.links.forEach((id, hop) => {
        const link = linkById.get(id)
        const ends = [path.nodes[hop], path.nodes[hop + 1]]
        check(link !== undefined && ends.includes(link.a) && ends.includes(link.b), `${name} takes no link by ${id}`)
        loads.set(id, (loads.get(id) ?? 0) + path.rateBps)
      })
    }
    if (asked.mode === 'single') check(planned.paths.length <= 1, `${name} has more than one path`)
    faults.push(...auditSets(name, asked, planned))
  })
  if (least < Number.POSITIVE_INFINITY) check(isAbout(plan.lambda, least), 'lambda is not the lowest level')
  check(plan.bound >= plan.lambda && plan.gap >= 0, 'lambda is above its bound')
  const gap = plan.bound > 0 ? 1 - plan.lambda / plan.bound : 0
  check(Math.abs(plan.gap - gap) <= ROUNDING, 'the gap is not that of lambda and bound')
  const running = new Map<string, number>()
  network.links.forEach((link, index) => {
    const load = loads.get(link.id)!
    const planned = plan.links[index]!
    check(planned.id === link.id && isAbout(planned.loadBps, load), `link ${link.id} has another load than its paths`)
    check(load <= link.rateBps * (1 + ROUNDING), `link ${link.id} is overdrawn`)
    const ends = network.nodes.filter(node => node.id === link.a || node.id === link.b)
    const isSwitched = ends.some(node => node.modules !== undefined)
    check((planned.timeShare !== undefined) === isSwitched, `link ${link.id}: time share without a switch, or none`)
    if (load > 0) for (const { id } of ends) running.set(id, (running.get(id) ?? 0) + load / link.rateBps)
    if (isSwitched) check(isAbout(planned.timeShare!, load === 0 ? 0 : load / link.rateBps), `time share of ${link.id}`)
  })
  for (const { id, modules } of network.nodes) {
    const share = running.get(id) ?? 0
    if (modules !== undefined) check(share <= modules * (1 + ROUNDING), `node ${id} runs more links than modules`)
  }
  return faults
}

/** The rate is that of the sets, each once, and the paths of a set meet in no relay. */
function auditSets(
  name: string,
  asked: OracleNetwork['demands'][number],
  planned: AuditedPlan['demands'][number],
): string[] {
  const faults: string[] = []
  const sets = new Map<number, (typeof planned.paths)[number][]>()
  planned.paths.forEach((path, index) => {
    const set = path.set ?? -1 - index
    sets.set(set, [...(sets.get(set) ?? []), path])
  })
  let rate = 0
  for (const paths of sets.values()) {
    rate += paths[0]!.rateBps
    if (paths.some(path => path.rateBps !== paths[0]!.rateBps)) faults.push(`${name} has shares of different rates`)
    const relays = paths.flatMap(path => path.nodes.slice(1, -1))
    if (new Set(relays).size !== relays.length) faults.push(`${name} has shares that meet in a relay`)
    const links = paths.flatMap(path => path.links)
    if (new Set(links).size !== links.length) faults.push(`${name} has shares that meet on a link`)
    const isDirect = paths.length === 1 && paths[0]!.links.length === 1
    const wanted = asked.mode === 'split' ? (asked.shares ?? 2) : 1
    if (paths.length !== wanted && !isDirect) faults.push(`${name} has ${paths.length} shares, not ${wanted}`)
  }
  if (Math.abs(rate - planned.rateBps) > ROUNDING * Math.max(rate, planned.rateBps)) {
    faults.push(`${name} has another rate than its paths`)
  }
  return faults
}
