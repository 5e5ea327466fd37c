import { runTrace, type TraceReport } from './key-trace.ts'
import { type SiteProcesses, startSiteProcesses } from './site-process.ts'

/** Shares of the handshakes that go astray, of the project's goal. */
export const LOSS_RATIOS = [0, 0.01, 0.05, 0.1, 0.5] as const

export interface LossTraceOptions {
  /** Keys for each share. */
  readonly keys: number
  /** Keys that one call draws; each is then a handshake of its own. Default 1. */
  readonly keysPerDraw?: number
  /** Default all. */
  readonly ratios?: readonly number[]
  /** Runs what `npm run build` made. */
  readonly built?: boolean
  /** Called with what each share came to. */
  readonly onReport?: (report: LossReport) => void
  /** Looks at the sites when all is over. */
  readonly after?: (sites: SiteProcesses) => Promise<void>
  readonly log?: (line: string) => void
}

/** What a trace with one share of losses came to. */
export interface LossReport extends TraceReport {
  readonly ratio: number
  readonly seconds: number
}

/**
 * Keys in both directions at once between two site processes. For each share: as many key_IDs never arrive, as many arrive
 * twice, and all in another order than they were sent.
 */
export async function runLossTrace({
  keys,
  ratios = LOSS_RATIOS,
  keysPerDraw = 1,
  built = false,
  onReport = () => {},
  after = async () => {},
  log = () => {},
}: LossTraceOptions): Promise<LossReport[]> {
  await using sites = await startSiteProcesses({ built })
  const lanes = [
    { master: sites.kms('alice'), slave: sites.kms('bob') },
    { master: sites.kms('ben'), slave: sites.kms('amy') },
  ]
  const reports: LossReport[] = []
  for (const ratio of ratios) {
    const startMs = performance.now()
    const onProgress = (drawn: number) => {
      if (drawn % 10_000 === 0) log(`${100 * ratio} %: ${drawn} of ${keys} keys`)
    }
    const report = await runTrace({ lanes, keys, keysPerDraw, lossRatio: ratio, duplicateRatio: ratio, onProgress })
    reports.push({ ...report, ratio, seconds: (performance.now() - startMs) / 1000 })
    onReport(reports.at(-1)!)
  }
  await after(sites)
  return reports
}

/** What is wrong with a report, in words; undefined for nothing. */
export function breachOf({
  ratio,
  drawn,
  dropped,
  fetched,
  wrong,
  twice,
  refused,
  faults,
}: LossReport): string | undefined {
  const isWhole = fetched === drawn - dropped
  if (wrong + twice + refused === 0 && isWhole) return undefined
  return `at ${100 * ratio} %: ${drawn} drawn, ${dropped} lost, ${fetched} fetched; ${faults.join('; ')}`
}
