import { setTimeout as pause } from 'node:timers/promises'
import type { TraceReport } from './key-trace.ts'
import { PostgresCluster } from './postgres-cluster.ts'
import { startSiteProcesses } from './site-process.ts'
import { SiteTraffic } from './site-traffic.ts'

const KEYS_BETWEEN = 20

/**
 * Traffic in both directions between two site processes, one of them over a cluster of PostgreSQL whose primary is killed
 * with SIGKILL at random moments, `count` times: its standby takes over, and the machine that failed comes back as the
 * standby of that. What was not fetched then may be lost, since the pools count as rolled back; nothing may come twice.
 */
export async function runFailoverTrace({
  programs,
  count,
  built = false,
  log = () => {},
}: {
  programs: string
  count: number
  built?: boolean
  log?: (line: string) => void
}): Promise<TraceReport> {
  await using cluster = await PostgresCluster.start(programs)
  await using sites = await startSiteProcesses({
    built,
    databases: { 'site-a': cluster.url },
    // More often in an hour than a peer is believed otherwise.
    pool: { restoresPerHour: 2 * count + 10 },
  })
  const traffic = new SiteTraffic(sites)
  for (let round = 1; round <= count && !traffic.hasFailed; round++) {
    await traffic.flows(KEYS_BETWEEN, { what: `keys are drawn before fail-over ${round}` })
    await pause(Math.random() * 500)
    await cluster.failOver()
    await cluster.rebuild()
    log(`${round} of ${count} fail-overs, ${traffic.drawn} keys drawn`)
  }
  await traffic.flows(KEYS_BETWEEN, { what: 'keys are drawn after the last fail-over' })
  return await traffic.end()
}
