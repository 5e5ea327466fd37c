/**
 * A site of four replicas over PostgreSQL whose hosts ask one of them, two or all four, in one run: keys a second, waiting
 * times, and the processor time that a key takes the owner of the pools and the replicas beside it. Needs `npm run build`.
 */
import { PostgresNode, postgresPrograms } from '../test/helpers/postgres.ts'
import { startSiteProcesses } from '../test/helpers/site-process.ts'
import { type Outcome, ReplicatedSite } from './replicas/replicated-site.ts'
import { type BenchOptions, median, percentile, type Report } from './report.ts'

const REPLICAS = 4
const SPREADS = [1, 2, REPLICAS]
const CONNECTIONS = 32

/** Runs the suite. */
export async function run(report: Report, { quick }: BenchOptions): Promise<void> {
  const programs = postgresPrograms()
  if (programs === undefined) {
    console.error('PostgreSQL is not installed: apt-get install postgresql')
    return
  }
  await using server = await PostgresNode.create(programs)
  await server.start()
  await using sites = await startSiteProcesses({
    databases: { 'site-a': server.url },
    built: true,
    targetBlocks: 32,
    pool: { minBlocks: 32 },
  })
  await using site = await ReplicatedSite.start(sites, REPLICAS)
  const [count, slices] = quick ? [200, 2] : [2_000, 30]
  const outcomes = SPREADS.map((): Outcome[] => [])
  // One round more, before anything counts, so that code and connections are warm.
  for (let round = 0; round <= slices; round += 1) {
    for (const [at, replicas] of SPREADS.entries()) {
      await site.stocked()
      const outcome = await site.ask(count, { replicas, connections: CONNECTIONS })
      if (round > 0) outcomes[at]!.push(outcome)
    }
  }
  const samples = slices * count
  for (const [at, replicas] of SPREADS.entries()) {
    const tell = (metric: string, unit: string, pick: (outcome: Outcome) => number) => {
      const [value, baseline] = [median(outcomes[at]!.map(pick)), median(outcomes[0]!.map(pick))]
      report({ metric, unit, value, samples, ...(at > 0 && baseline > 0 && { baseline, ratio: value / baseline }) })
    }
    tell(`issues, ${replicas} of ${REPLICAS} replicas asked, c=${CONNECTIONS}`, '1/s', ({ perSecond }) => perSecond)
    tell('  p50', 'ms', ({ latenciesMs }) => percentile(latenciesMs, 0.5))
    tell('  p99', 'ms', ({ latenciesMs }) => percentile(latenciesMs, 0.99))
    tell('  processor time of the owner, a key', 'ms', ({ ownerMs }) => ownerMs)
    tell('  processor time of the others, a key', 'ms', ({ othersMs }) => othersMs)
  }
}
