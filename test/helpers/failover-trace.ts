import { setTimeout as pause } from 'node:timers/promises'
import { runTrace, type TraceReport } from './key-trace.ts'
import { PostgresCluster } from './postgres-cluster.ts'
import { startSiteProcesses } from './site-process.ts'
import { until } from './until.ts'

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
  const lanes = [
    { master: sites.kms('alice'), slave: sites.kms('bob') },
    { master: sites.kms('ben'), slave: sites.kms('amy') },
  ]
  const done = new AbortController()
  let drawn = 0
  const trace = runTrace({
    lanes,
    keys: Number.MAX_SAFE_INTEGER,
    lossRatio: 0.1,
    concurrency: 8,
    hostile: true,
    signal: done.signal,
    onProgress: so => {
      drawn = so
    },
  })
  // A trace that fails ends the run; its error comes out below.
  let failed = false
  trace.catch(() => {
    failed = true
  })
  for (let round = 1; round <= count && !failed; round++) {
    const before = drawn
    await until(() => failed || drawn >= before + KEYS_BETWEEN, 'keys are drawn again after a fail-over', {
      timeoutMs: 60_000,
    }).catch(cause => {
      const said = sites.processes.map(({ siteId, stderr }) => `${siteId}: ${stderr.slice(-2000)}`)
      throw new Error(`Round ${round}: ${said.join('\n')}`, { cause })
    })
    await pause(Math.random() * 500)
    await cluster.failOver()
    await cluster.rebuild()
    log(`${round} of ${count} fail-overs, ${drawn} keys drawn`)
  }
  const before = drawn
  await until(() => failed || drawn >= before + KEYS_BETWEEN, 'keys are drawn after the last fail-over', {
    timeoutMs: 60_000,
  })
  done.abort()
  return await trace
}
