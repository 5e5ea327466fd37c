import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { proposeNextKek } from '../../lib/kms/store/next-kek.ts'
import type { TraceReport } from './key-trace.ts'
import { type SiteProcess, type SiteProcesses, type SiteProcessesOptions, startSiteProcesses } from './site-process.ts'
import { SiteTraffic } from './site-traffic.ts'

const KEYS_BETWEEN_KILLS = 20

export interface KillTraceOptions {
  /** How often one of the two sites is killed. */
  readonly kills: number
  readonly lossRatio?: number
  /** Has the site change its key encryption key at the moment of each kill. Default false. */
  readonly rekey?: boolean
  /** How a site ends. Default by SIGKILL. */
  readonly end?: (site: SiteProcess) => Promise<void>
  /** How the sites are started, and how many blocks they keep. */
  readonly sites?: SiteProcessesOptions
  /** Looks at the sites when the trace is over. */
  readonly after?: (sites: SiteProcesses) => Promise<void>
  /** Runs what `npm run build` made. */
  readonly built?: boolean
  readonly log?: (line: string) => void
}

/**
 * Traffic in both directions between two site processes while one after the other is killed with SIGKILL at random
 * moments and started again on its store; ends when all kills are done and every key was asked for.
 */
export async function runKillTrace({
  kills,
  lossRatio = 0.1,
  rekey = false,
  end = site => site.kill(),
  sites: options = {},
  after = async () => {},
  built = false,
  log = () => {},
}: KillTraceOptions): Promise<TraceReport> {
  await using sites = await startSiteProcesses({ built, ...options })
  const traffic = new SiteTraffic(sites, { lossRatio })
  for (let kill = 1; kill <= kills && !traffic.hasFailed; kill++) {
    // A kill that meets nothing shows nothing.
    await traffic.flows(KEYS_BETWEEN_KILLS, { what: `keys are drawn before kill ${kill}`, timeoutMs: 30_000 })
    const site = sites.processes[Math.random() < 0.5 ? 0 : 1]!
    // The site looks twice a second, so that a kill meets it before, within and after the change.
    if (rekey) await proposeNextKek(join(sites.directory, `${site.siteId}.kek`))
    await pause(Math.random() * (rekey ? 1_000 : 300))
    await end(site)
    await site.start()
    if (kill % 10 === 0) log(`${kill} of ${kills} kills`)
  }
  const report = await traffic.end()
  await after(sites)
  return report
}
