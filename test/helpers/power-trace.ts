import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { verifyAudit } from '../../lib/kms/audit/verify-audit.ts'
import { type DiskPlace, type Loss, TestDisk } from './disk/test-disk.ts'
import type { TraceReport } from './key-trace.ts'
import { runKillTrace } from './kill-trace.ts'
import type { SiteProcess, SiteProcesses } from './site-process.ts'

/** Power goes within so many steps of the disk from a random moment on: in the middle of a commit as often as between two. */
const MAX_STEPS = 40

export interface PowerTraceOptions {
  /** How often one of the two sites loses its power. */
  readonly losses: number
  /** Has the site change its key encryption key at the moment of every other loss. Default true. */
  readonly rekey?: boolean
  /** Runs what `npm run build` made. */
  readonly built?: boolean
  /** Runs the source of another copy of the project. */
  readonly root?: string
  readonly log?: (line: string) => void
}

const NOTHING_SEEN = { drawn: 0, fetched: 0, dropped: 0, duplicated: 0, lost: 0, lostAnswers: 0, wrong: 0, twice: 0 }

/** What a trace over power losses saw. */
export type PowerReport = TraceReport & {
  /** Writes and changes of names that had not been synced and were taken back, whole or in part. */
  lostSteps: number
  /** Keys that the audit logs of both sites say were issued, and delivered: at least as many as hosts were given. */
  audited: { issued: number; delivered: number }
}

/**
 * Traffic in both directions between two site processes while one after the other loses its power: of what it had written to
 * database, slots, key files and audit log but not synced, all or a random half is gone when it starts again.
 */
export async function runPowerTrace({ losses, rekey, built, root, log }: PowerTraceOptions): Promise<PowerReport> {
  const diskAt = await TestDisk.prepare()
  const disks = new Map<string, TestDisk>()
  let lostSteps = 0
  let turn = 0
  const end = async (site: SiteProcess) => {
    const loss: Loss = turn++ % 2 === 0 ? 'half' : 'all'
    // As the disk has stood since the site's start; a loss that finds no step on its way finds one of the traffic's.
    const { lost } = await disks.get(site.siteId)!.lose(loss, { at: randomInt(MAX_STEPS), seed: randomInt(2 ** 32) })
    lostSteps += lost
    await site.ended()
  }
  let audited = { issued: 0, delivered: 0 }
  const trace = runKillTrace({
    kills: losses,
    end,
    after: async sites => {
      audited = await countAudited(sites)
    },
    ...(rekey !== undefined && { rekey }),
    ...(built !== undefined && { built }),
    ...(log && { log }),
    sites: {
      audit: true,
      ...(root !== undefined && { root }),
      env: (siteId, directory) => {
        const place: DiskPlace = { root: `${directory}/${siteId}.`, socket: join(directory, `disk-${siteId}`) }
        const disk = diskAt(place)
        disks.set(siteId, disk)
        return disk.env
      },
    },
  })
  const report = await trace.catch((error: Error): TraceReport => {
    if (turn === 0) throw error
    // A site that does not start any more, or starts and serves nobody, has lost what it had acknowledged.
    return { ...NOTHING_SEEN, refused: 1, faults: [error.message] }
  })
  for (const [what, given] of [
    ['issued', report.drawn],
    ['delivered', report.fetched],
  ] as const) {
    if (audited[what] >= given) continue
    report.refused += given - audited[what]
    report.faults.push(`${given} keys were ${what}, and the audit logs know of ${audited[what]}`)
  }
  return { ...report, lostSteps, audited }
}

/** What the audit logs of both sites say, whose lines must all be there. */
async function countAudited({ directory, processes }: SiteProcesses): Promise<PowerReport['audited']> {
  const counts = { issue: 0, deliver: 0 }
  for (const { siteId } of processes) {
    const { ok, fault } = await verifyAudit(join(directory, `${siteId}.audit`), {
      onLine: ({ event, outcome, keyIds = [] }) => {
        if (outcome === 'allowed' && (event === 'issue' || event === 'deliver')) counts[event] += keyIds.length
      },
    })
    if (!ok) throw new Error(`The audit log of ${siteId} does not verify: line ${fault?.line} ${fault?.message}`)
  }
  return { issued: counts.issue, delivered: counts.deliver }
}
