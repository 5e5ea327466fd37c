import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { QkdError, QkdErrorCode } from '../../../lib/errors.ts'
import type { Key, Kms } from '../../../lib/interface/kms.ts'
import { hasNextKek, proposeNextKek } from '../../../lib/kms/store/next-kek.ts'
import { startSiteProcesses } from '../site-process.ts'
import { until } from '../until.ts'
import { TestDisk } from './test-disk.ts'

/** Codes that a site answers as 503. */
const UNAVAILABLE: readonly QkdErrorCode[] = [
  'ERR_QKD_STORE',
  'ERR_QKD_POOL_EXHAUSTED',
  'ERR_QKD_POOL_DESYNC',
  'ERR_QKD_NO_ROUTE',
  'ERR_QKD_LINK_DOWN',
]
const RECOVERY_MS = 30_000

/** A disk that fails: once, or until it is mended. */
const FAULTS = [
  { code: 'ENOSPC', lasts: 0 },
  { code: 'EIO', lasts: 1 },
  { code: 'EIO', lasts: 0 },
] as const

export interface DiskFaultOptions {
  /** Tries in all: each has the disk fail at a later step of what a site writes for some keys, round and round. */
  readonly tries: number
  /** Has the site change its key encryption key in every so many tries. Default 5. */
  readonly rekeyEvery?: number
  readonly built?: boolean
  readonly log?: (line: string) => void
}

/** What became of the keys while a disk failed at one step after the other. */
export interface DiskFaultReport {
  /** Tries in which the disk failed at a step of the site. */
  failed: number
  /** Answers of 503, by code. */
  refused: Record<string, number>
  /** Keys that were fetched, whatever happened on the way. */
  fetched: number
  /** Keys whose fetch was refused as the store failed, and which were gone afterwards. */
  burned: number
  /** Steps of the disk that one try takes without a fault. */
  steps: number
  /** Breaches, in words. */
  readonly faults: string[]
}

/**
 * A site process whose disk fills up or fails at each of its steps in turn, under keys that it issues and delivers: it answers
 * 503, hands out nothing that it has not written, and goes on when the disk works again, without a restart.
 */
export async function runDiskFaults({
  tries,
  rekeyEvery = 5,
  built = false,
  log = () => {},
}: DiskFaultOptions): Promise<DiskFaultReport> {
  const diskAt = await TestDisk.prepare()
  let disk!: TestDisk
  await using sites = await startSiteProcesses({
    built,
    audit: true,
    env: (siteId, directory) => {
      if (siteId !== 'site-a') return {}
      disk = diskAt({ root: `${directory}/${siteId}.`, socket: join(directory, 'disk') })
      return disk.env
    },
  })
  const trial = new Trial([sites.kms('alice'), sites.kms('bob')], [sites.kms('ben'), sites.kms('amy')])
  const kek = join(sites.directory, 'site-a.kek')
  await trial.recover()
  const before = await disk.steps()
  await trial.exchange()
  const { report } = trial
  report.steps = (await disk.steps()) - before
  for (let attempt = 0; attempt < tries; attempt++) {
    const { code, lasts } = FAULTS[attempt % FAULTS.length]!
    const from = await disk.steps()
    const at = 1 + (Math.floor(attempt / FAULTS.length) % (report.steps + 4))
    await disk.fail(code, { at, lasts })
    const isRekeyed = attempt % rekeyEvery === rekeyEvery - 1
    if (isRekeyed) await proposeNextKek(kek)
    await trial.exchange()
    if (isRekeyed) await until(async () => (await disk.steps()) >= from + at, 'the site has written')
    if ((await disk.steps()) >= from + at) report.failed += 1
    await disk.mend()
    await trial.recover().catch(cause => {
      throw new Error(`After ${code} at step ${at}: ${sites.processes[0].stderr.slice(-2000)}`, { cause })
    })
    if (attempt % 10 === 9) log(`${attempt + 1} of ${tries} tries`)
  }
  await until(async () => !(await hasNextKek(kek)), 'the key encryption key is changed in the end', {
    timeoutMs: RECOVERY_MS,
  })
  // What is live must have outlasted all of it on the disk as well.
  await trial.exchange({ leave: true })
  await disk.lose('all', { seed: 0 })
  await sites.processes[0].ended()
  await sites.processes[0].start()
  await trial.recover()
  return report
}

interface LiveKey {
  readonly lane: readonly [Kms, Kms]
  readonly keyId: string
  readonly digest: string
  /** True once a fetch had no other answer than 503. */
  isDoubtful: boolean
}

/** Keys in both directions through one site, issued and delivered there; the other one only plays along. */
class Trial {
  readonly report: DiskFaultReport = { failed: 0, refused: {}, fetched: 0, burned: 0, steps: 0, faults: [] }
  readonly #lanes: readonly (readonly [Kms, Kms])[]
  readonly #seen = new Set<string>()
  #live: LiveKey[] = []

  constructor(...lanes: readonly (readonly [Kms, Kms])[]) {
    this.#lanes = lanes
  }

  /** Draws a key each way and fetches what is live, as far as the disk lets the site; `leave` fetches nothing. */
  async exchange({ leave = false }: { leave?: boolean } = {}): Promise<void> {
    await Promise.all(this.#lanes.map(lane => this.#draw(lane)))
    if (!leave) await Promise.all([...this.#live].map(key => this.#fetch(key)))
  }

  /** The disk works: every live key comes, and fresh ones. */
  async recover(): Promise<void> {
    await until(
      async () => {
        await Promise.all([...this.#live].map(key => this.#fetch(key)))
        return this.#live.length === 0
      },
      'every live key is served',
      { timeoutMs: RECOVERY_MS },
    )
    for (const lane of this.#lanes)
      await until(() => this.#draw(lane), 'keys are issued again', { timeoutMs: RECOVERY_MS })
  }

  async #draw(lane: readonly [Kms, Kms]): Promise<boolean> {
    const [master, slave] = lane
    try {
      const [key] = await master.getKey(slave.saeId)
      this.#live.push({ lane, keyId: key!.keyId, digest: this.#note(master, key!), isDoubtful: false })
      return true
    } catch (error) {
      this.#refuse(error as QkdError)
      return false
    }
  }

  async #fetch(live: LiveKey): Promise<void> {
    const [master, slave] = live.lane
    try {
      const [key] = await slave.getKeyWithIds(master.saeId, [live.keyId])
      this.#drop(live)
      this.report.fetched += 1
      if (this.#note(slave, key!) !== live.digest) this.report.faults.push(`${live.keyId} has other bytes`)
    } catch (error) {
      const { code } = error as QkdError
      if (code === 'ERR_QKD_KEY_NOT_FOUND') {
        this.#drop(live)
        if (live.isDoubtful) this.report.burned += 1
        else this.report.faults.push(`the live key ${live.keyId} is gone`)
      } else {
        live.isDoubtful = true
        this.#refuse(error as QkdError)
      }
    }
  }

  #drop(live: LiveKey): void {
    this.#live = this.#live.filter(key => key !== live)
  }

  #refuse({ code, message }: QkdError): void {
    if (!UNAVAILABLE.includes(code)) this.report.faults.push(`${code} instead of a 503: ${message}`)
    this.report.refused[code] = (this.report.refused[code] ?? 0) + 1
  }

  /** Notes what a side was given, and gives its digest. */
  #note(side: Kms, { keyId, secret }: Key): string {
    const digest = secret.expose('application', bytes => createHash('sha256').update(bytes).digest('base64'))
    secret.wipe()
    const mark = `${side.saeId} ${keyId} ${digest}`
    if (this.#seen.has(mark)) this.report.faults.push(`${keyId} came twice to ${side.saeId}`)
    this.#seen.add(mark)
    return digest
  }
}
