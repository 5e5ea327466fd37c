import type { NetworkSimulation } from '../../lib/index.ts'
import { countText, percentText, rateText, timeText } from '../link/units.ts'

/** The share of what hosts asked for that they got; 1 where nobody asked. */
export function servedShare({ demands }: NetworkSimulation): number {
  const sum = (of: (demand: NetworkSimulation['demands'][number]) => number) =>
    demands.reduce((all, each) => all + of(each), 0)
  const wanted = sum(({ wantedBits }) => wantedBits)
  return wanted === 0 ? 1 : sum(({ servedBits }) => servedBits) / wanted
}

/** The demands with the smallest part served, worst first. */
export function worstDemands({ demands }: NetworkSimulation, count: number) {
  return demands
    .filter(({ wantedBits }) => wantedBits > 0)
    .toSorted((p, q) => p.servedBits / p.wantedBits - q.servedBits / q.wantedBits)
    .slice(0, count)
}

/** The summary of a simulation as a table. */
export function summaryLines(simulation: NetworkSimulation): string[] {
  const { durationS, sites, links, demands, samples, plans, planMs, worstGap, wallS, cpuS, memoryMb } = simulation
  const most = samples.reduce((top, { wantedBps }) => Math.max(top, wantedBps), 0)
  const down = links.filter(({ downS }) => downS > 0)
  const busiest = links.toSorted((p, q) => q.usedShare - p.usedShare).slice(0, 3)
  const rows: [string, string][] = [
    ['network', `${sites} sites, ${links.length} links, ${demands.length} demands`],
    ['virtual time', timeText(durationS)],
    ['key served', `${percentText(servedShare(simulation))} of what hosts asked for, at most ${rateText(most)} in all`],
    [
      'worst served',
      worstDemands(simulation, 3)
        .map(({ id, wantedBits, servedBits }) => `${id} ${percentText(servedBits / wantedBits)}`)
        .join(', ') || 'none',
    ],
    ['busiest links', busiest.map(({ id, usedShare }) => `${id} ${percentText(usedShare)}`).join(', ')],
    [
      'were down',
      down
        .map(({ id, downS }) => `${id} for ${timeText(downS)}`)
        .slice(0, 5)
        .join(', ') || 'no links',
    ],
    [
      'plans',
      `${plans}; ${Math.round(planMs.median)} ms median, ${Math.round(planMs.p95)} ms of 95 in 100, ${Math.round(planMs.max)} ms longest`,
    ],
    ['gap', `${percentText(worstGap)} at worst to the certified bound`],
    ['this machine', `${timeText(wallS)}, ${timeText(cpuS)} of processor, ${countText(memoryMb)} MB`],
  ]
  return rows.map(([name, text]) => `${name.padEnd(15)}${text}`)
}
