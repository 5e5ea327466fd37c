import { runTrace, type TraceOptions, type TraceReport } from './key-trace.ts'
import type { SiteProcesses } from './site-process.ts'
import { until } from './until.ts'

/** Requests under way, and what may become of them; see `TraceOptions`. */
export type SiteTrafficOptions = Partial<Pick<TraceOptions, 'lossRatio' | 'concurrency' | 'mayLose'>> & {
  /** Says more of the sites for the message of a run in which nothing flows any more. Default nothing. */
  readonly tell?: () => Promise<readonly string[]>
}

/** Hosts that draw and fetch keys in both directions between two sites, until they are told to end. */
export class SiteTraffic {
  readonly #sites: SiteProcesses
  readonly #tell: NonNullable<SiteTrafficOptions['tell']>
  readonly #done = new AbortController()
  readonly #trace: Promise<TraceReport>
  #drawn = 0
  #hasFailed = false

  constructor(
    sites: SiteProcesses,
    { lossRatio = 0.1, concurrency = 8, mayLose = false, tell = async () => [] }: SiteTrafficOptions = {},
  ) {
    this.#sites = sites
    this.#tell = tell
    this.#trace = runTrace({
      lanes: [
        { master: sites.kms('alice'), slave: sites.kms('bob') },
        { master: sites.kms('ben'), slave: sites.kms('amy') },
      ],
      keys: Number.MAX_SAFE_INTEGER,
      lossRatio,
      concurrency,
      mayLose,
      hostile: true,
      signal: this.#done.signal,
      onProgress: drawn => {
        this.#drawn = drawn
      },
    })
    // What went wrong comes out at the end.
    this.#trace.catch(() => {
      this.#hasFailed = true
    })
  }

  /** Keys drawn so far. */
  get drawn(): number {
    return this.#drawn
  }

  /** True where it has come to an end by itself: what is done to the sites then shows nothing. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /**
   * Waits until so many further keys were drawn, or it has failed.
   * @throws {Error} nothing flows: what the sites have said last
   */
  async flows(keys: number, { what, timeoutMs = 60_000 }: { what: string; timeoutMs?: number }): Promise<void> {
    const enough = this.#drawn + keys
    await until(() => this.#hasFailed || this.#drawn >= enough, what, { timeoutMs }).catch(async cause => {
      const said = this.#sites.processes.map(({ siteId, stderr }) => `${siteId}: ${stderr.slice(-2000)}`)
      throw new Error([...said, ...(await this.#tell())].join('\n'), { cause })
    })
  }

  /** Lets what is under way come to its end, and gives what was seen. */
  end(): Promise<TraceReport> {
    this.#done.abort()
    return this.#trace
  }
}
