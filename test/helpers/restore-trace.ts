import { execFile } from 'node:child_process'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { openOperatorClient } from '../../lib/operator-access.ts'
import type { TraceReport } from './key-trace.ts'
import { QKD_BUILT, QKD_SOURCE, type SiteProcess, type SiteProcesses, startSiteProcesses } from './site-process.ts'
import { SiteTraffic } from './site-traffic.ts'

/** What is put back in a round: a site's directory as it was, of one or both, or a store made from a backup. */
export const RESTORES = [
  'first site',
  'second site',
  'both sites',
  'backup of the first',
  'backup of the second',
] as const
export type RestoreKind = (typeof RESTORES)[number]

export interface RestoreTraceOptions {
  /** What to put back, one round after the other. */
  readonly rounds: readonly RestoreKind[]
  /** Keys that are drawn between a copy and the moment when it is put back, at least. Default 60. */
  readonly keysForgotten?: number
  /** Share of the rounds in which the copy is a new one; in the others that of an earlier round is put back again. Default 0. */
  readonly freshRatio?: number
  /** Runs what `npm run build` made. */
  readonly built?: boolean
  /** Looks at the sites when the trace is over. */
  readonly after?: (sites: SiteProcesses) => Promise<void>
  readonly log?: (line: string) => void
}

/** What a round came to, as the sites told it. */
export interface RestoreOutcome {
  readonly kind: RestoreKind
  /** `pool-resync` or `pool-reset`, as each of the restored sites told. */
  readonly cures: readonly string[]
  /** Cells that they said are lost. */
  readonly lostCells: number
  /** True where each raised an alarm, or told how it ended. */
  readonly hasAlarm: boolean
}

export interface RestoreTraceReport extends TraceReport {
  readonly outcomes: readonly RestoreOutcome[]
}

const run = promisify(execFile)
const KEYS_BETWEEN = 40
const SITES = {
  'first site': [0],
  'second site': [1],
  'both sites': [0, 1],
  'backup of the first': [0],
  'backup of the second': [1],
} as const

/**
 * Traffic in both directions between two site processes, each owner of one lane and retriever of the other, while stores
 * are put back to older copies at random moments. Nobody tells the sites; a round is over when keys flow again both ways.
 */
export async function runRestoreTrace({
  rounds,
  keysForgotten = 60,
  freshRatio = 0,
  built = false,
  after = async () => {},
  log = () => {},
}: RestoreTraceOptions): Promise<RestoreTraceReport> {
  await using sites = await startSiteProcesses({ built, pool: { restoresPerHour: 1_000_000 } })
  const tell = () => Promise.all(sites.processes.map(({ siteId }) => statusOf(sites, siteId)))
  const traffic = new SiteTraffic(sites, { concurrency: 4, mayLose: true, tell })
  const outcomes: RestoreOutcome[] = []
  await traffic.flows(KEYS_BETWEEN, { what: 'keys flow' })
  await copy(sites, sites.processes)
  for (const [at, kind] of rounds.entries()) {
    await traffic.flows(KEYS_BETWEEN, { what: 'keys flow' })
    const chosen = SITES[kind].map(i => sites.processes[i])
    const isBackup = kind.startsWith('backup')
    for (const site of isBackup ? chosen : []) await backUp(sites, site, { built, at })
    if (!isBackup && Math.random() < freshRatio) await copy(sites, chosen)
    await traffic.flows(keysForgotten, { what: 'keys flow after the copy' })
    await pause(Math.random() * 300)
    for (const site of chosen) await site.kill()
    for (const site of chosen) await (isBackup ? restore(sites, site, { built, at }) : putBack(sites, site))
    // In one go: where both went back, neither is to find the other as it was.
    await Promise.all(chosen.map(site => site.start()))
    await traffic.flows(KEYS_BETWEEN, { what: `keys flow again after "${kind}"` })
    outcomes.push(outcomeOf(kind, chosen))
    log(
      `${at + 1} of ${rounds.length}: ${kind}, ${outcomes.at(-1)!.cures.join(' and ')}, ${outcomes.at(-1)!.lostCells} cells lost`,
    )
    if (traffic.hasFailed) break
  }
  const report = { ...(await traffic.end()), outcomes }
  await after(sites)
  return report
}

/** Raw copies of the directories, as somebody makes them who pulls the plug of the sites first. */
async function copy({ directory }: SiteProcesses, chosen: readonly SiteProcess[]): Promise<void> {
  for (const site of chosen) {
    const path = join(directory, `${site.siteId}.store`)
    await site.kill()
    await rm(`${path}.copy`, { recursive: true, force: true })
    await cp(path, `${path}.copy`, { recursive: true })
  }
  await Promise.all(chosen.map(site => site.start()))
}

async function putBack({ directory }: SiteProcesses, site: SiteProcess): Promise<void> {
  const path = join(directory, `${site.siteId}.store`)
  await rm(path, { recursive: true })
  await cp(`${path}.copy`, path, { recursive: true })
}

interface Backup {
  readonly built: boolean
  /** Distinguishes the files of the rounds. */
  readonly at: number
}

/** `qkd store backup`, while the site serves. */
async function backUp(sites: SiteProcesses, site: SiteProcess, { built, at }: Backup): Promise<void> {
  await qkd(['store', 'backup', join(sites.directory, `${site.siteId}.${at}.backup`)], sites, site, built)
}

async function restore(sites: SiteProcesses, site: SiteProcess, { built, at }: Backup): Promise<void> {
  await rm(join(sites.directory, `${site.siteId}.store`), { recursive: true })
  await qkd(['store', 'restore', join(sites.directory, `${site.siteId}.${at}.backup`)], sites, site, built)
}

async function qkd(args: readonly string[], { directory }: SiteProcesses, { siteId }: SiteProcess, built: boolean) {
  const config = ['--config', join(directory, `${siteId}.json`), '--json']
  await run(process.execPath, [...(built ? QKD_BUILT : QKD_SOURCE), ...args, ...config])
}

/** What a site says of its pools, for the message of a failed run. */
async function statusOf({ directory }: SiteProcesses, siteId: string): Promise<string> {
  const site = await openOperatorClient(join(directory, `${siteId}.json`))
  return JSON.stringify(await site.call('status').catch(String))
}

/** What the restored sites wrote to standard error since they began. */
function outcomeOf(kind: RestoreKind, chosen: readonly SiteProcess[]): RestoreOutcome {
  const events = chosen.map(({ stderr }) =>
    stderr.split('\n').flatMap(line => (line.startsWith('{"event"') ? [JSON.parse(line).event] : [])),
  )
  const cures = events.map(
    told =>
      told.find(({ type, side, reason }) =>
        type === 'pool-resync' ? side === 'local' : type === 'pool-reset' && reason !== 'first contact',
      ) ?? { type: 'nothing', lostCells: 0 },
  )
  return {
    kind,
    cures: cures.map(({ type }) => type),
    lostCells: cures.reduce((sum, { lostCells }) => sum + lostCells, 0),
    hasAlarm: events.every(told => told.some(({ type, id }) => type === 'alarm' && id.startsWith('store-rolled-back'))),
  }
}
