import type { Plan, PlannedDemand, PlannedLink } from './plan.ts'
import { drawTable, formatNumber, formatPercent, formatRate } from './table.ts'

/** Paths of a demand that a table shows; the rest is counted. */
const SHOWN_PATHS = 3

/** The plan as tables for a person; the JSON of the plan is for programs. */
export function describePlan(plan: Plan): string {
  const served = plan.demands.filter(demand => demand.reason === undefined)
  const total = served.reduce((sum, demand) => sum + demand.rateBps, 0)
  const facts = [
    ['lambda', `${formatNumber(plan.lambda)} × weight × rate for every demand with a route`],
    ['gap', `${formatPercent(plan.gap)} to the certified bound of ${formatNumber(plan.bound)}`],
    ['plan', `epoch ${plan.epoch}, by ${plan.method.replaceAll('-', ' ')}`],
    ['served', `${served.length} of ${plan.demands.length} demands, ${formatRate(total)} in all`],
    ...(plan.validForMs === undefined ? [] : [['due', `again in ${formatNumber(plan.validForMs / 1000)} s`]]),
  ]
  return [
    ...facts.map(([name, text]) => `${name!.padEnd(10)}${text}`),
    '',
    ...drawTable(['demand', 'rate', 'level', 'paths'], plan.demands.map(describeDemand)),
    '',
    ...drawTable(['link', 'load', 'of', 'used', 'time share'], plan.links.map(describeLink)),
  ].join('\n')
}

function describeDemand({ id, rateBps, level, paths, reason }: PlannedDemand): string[] {
  if (reason !== undefined) return [id, '0 b/s', '-', `none: ${reason}`]
  const shown = paths.slice(0, SHOWN_PATHS).map(({ nodes, rateBps: rate, set }) => {
    return `${nodes.join(' - ')} (${formatRate(rate)}${set === undefined ? '' : `, set ${set + 1}`})`
  })
  const more = paths.length > SHOWN_PATHS ? [`and ${paths.length - SHOWN_PATHS} more`] : []
  return [id, formatRate(rateBps), formatNumber(level), [...shown, ...more].join('; ')]
}

function describeLink({ id, rateBps, loadBps, timeShare }: PlannedLink): string[] {
  const used = rateBps === 0 ? '-' : formatPercent(loadBps / rateBps)
  return [id, formatRate(loadBps), formatRate(rateBps), used, timeShare === undefined ? '' : formatPercent(timeShare)]
}
