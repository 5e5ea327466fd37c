import { X509Certificate } from 'node:crypto'
import { readdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SiteConfig } from './config/site-config.ts'
import { GaugeTable } from './console/gauge-table.ts'
import type { HealthRow } from './console/sections.ts'
import type { GaugeReading } from './interface/telemetry.ts'
import type { KeyPoolStatus } from './kms/pool/key-pool.ts'

/** What is looked at. */
export interface SiteHealthOptions {
  readonly config: Pick<SiteConfig, 'store' | 'audit' | 'tls' | 'console'>
  readonly pools: () => readonly KeyPoolStatus[]
  readonly readings: () => readonly GaugeReading[]
  /** Number of the last line of the audit log; undefined without one. */
  readonly auditLines: (() => number) | undefined
  readonly now?: () => number
}

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** Files of a directory of backups that are looked at. */
const MOST_BACKUPS = 1_000
const GIB = 1024 ** 3

/** What a site stands on besides its network: disks, logs, certificates, secrets. Never rejects. */
export async function siteHealth(options: SiteHealthOptions): Promise<readonly HealthRow[]> {
  const { config, pools, now = Date.now } = options
  const nowMs = now()
  const status = pools()
  const gauges = new GaugeTable(options.readings())
  return [
    ...(await storeRows(config.store, status, gauges)),
    await auditRow(options, gauges),
    await backupRow(config.console, nowMs),
    secretRow(gauges, status),
    ...clockRows(gauges, status),
    certificateRow(config.tls.cert, nowMs),
  ]
}

async function storeRows(
  store: SiteConfig['store'],
  pools: readonly KeyPoolStatus[],
  gauges: GaugeTable,
): Promise<HealthRow[]> {
  const count = (of: (pool: KeyPoolStatus) => number) => pools.reduce((all, pool) => all + of(pool), 0)
  const live = count(({ blocks: { received, ready, active } }) => received + ready + active)
  const mismatches = count(pool => pool.mismatches)
  const blocks: HealthRow = {
    name: 'Blocks',
    state: mismatches === 0 ? 'ok' : 'warning',
    text: `${live} live${mismatches === 0 ? '' : `, ${mismatches} erased because the sites differed`}`,
  }
  if (store.kind === 'memory')
    return [{ name: 'Store', state: 'off', text: 'in memory: ends with the process' }, blocks]
  if (gauges.value('store_synchronous') === 0)
    return [{ name: 'Store', state: 'bad', text: `${store.kind}: the standby does not keep up` }, blocks]
  const disk = await diskRow(store.path)
  return [{ name: 'Store', state: disk.state, text: `${store.kind}, ${disk.text}` }, blocks]
}

async function auditRow({ config: { audit }, auditLines }: SiteHealthOptions, gauges: GaugeTable): Promise<HealthRow> {
  const name = 'Audit log'
  if (audit === undefined) return { name, state: 'off', text: 'none is written' }
  if (gauges.value('audit_blocked') === 1)
    return { name, state: 'bad', text: 'cannot be written: requests are refused' }
  const disk = await diskRow(dirname(audit.file))
  return { name, state: disk.state, text: `${auditLines?.() ?? 0} lines, ${disk.text}` }
}

/** Room on the disk that a path lies on, in whole tenths of GiB, so that the words don't change all the time. */
async function diskRow(path: string): Promise<Pick<HealthRow, 'state' | 'text'>> {
  try {
    const { bavail, blocks, bsize } = await statfs(path)
    const share = bavail / Math.max(1, blocks)
    const state = share < 0.02 ? 'bad' : share < 0.1 ? 'warning' : 'ok'
    return { state, text: `${((bavail * bsize) / GIB).toFixed(1)} GiB free` }
  } catch (error) {
    return { state: 'bad', text: (error as NodeJS.ErrnoException).code ?? String(error) }
  }
}

function secretRow(gauges: GaugeTable, pools: readonly KeyPoolStatus[]): HealthRow {
  const name = 'Secrets'
  const ages = pools.flatMap(({ remoteSiteId: peer }) => gauges.value('pair_secret_age_ms', { peer }) ?? [])
  if (ages.length === 0) return { name, state: 'off', text: 'no other site was met yet' }
  const missing = pools.length - ages.length
  const oldest = Math.floor(Math.max(...ages) / 60_000)
  return {
    name,
    state: missing === 0 ? 'ok' : 'warning',
    text: `${ages.length} of ${pools.length} sites, oldest ${oldest} min`,
  }
}

/** Clocks of other KMSs against this one's; no row before any was compared. */
function clockRows(gauges: GaugeTable, pools: readonly KeyPoolStatus[]): HealthRow[] {
  const skews = pools.flatMap(({ remoteSiteId: peer }) => gauges.value('peer_clock_skew_ms', { peer }) ?? [])
  if (skews.length === 0) return []
  const worstMs = Math.max(...skews.map(Math.abs))
  const state = worstMs > 60_000 ? 'bad' : worstMs > 5_000 ? 'warning' : 'ok'
  // In whole seconds, so that the words don't change all the time.
  return [
    { name: 'Clocks', state, text: worstMs < 1_000 ? 'agree to a second' : `${Math.round(worstMs / 1_000)} s apart` },
  ]
}

function certificateRow(pem: string, nowMs: number): HealthRow {
  const days = Math.floor((Date.parse(new X509Certificate(pem).validTo) - nowMs) / DAY_MS)
  const state = days < 7 ? 'bad' : days < 30 ? 'warning' : 'ok'
  return { name: 'Certificate', state, text: days < 0 ? 'has expired' : `${days} ${days === 1 ? 'day' : 'days'} left` }
}

/** The newest backup, which `qkd store backup` writes: the site itself makes none. */
async function backupRow(page: SiteConfig['console'], nowMs: number): Promise<HealthRow> {
  const name = 'Backup'
  if (page?.backups === undefined) return { name, state: 'off', text: 'none is known here' }
  try {
    const atMs = await newestMs(page.backups)
    if (atMs === undefined) return { name, state: 'bad', text: 'none has been written' }
    const hours = Math.floor(Math.max(0, nowMs - atMs) / HOUR_MS)
    const { backupMaxAgeHours = 24 } = page
    const age = hours === 0 ? 'within the hour' : hours < 48 ? `${hours} h old` : `${Math.floor(hours / 24)} d old`
    return { name, state: hours < backupMaxAgeHours ? 'ok' : 'warning', text: `the newest is ${age}` }
  } catch (error) {
    return { name, state: 'bad', text: (error as NodeJS.ErrnoException).code ?? String(error) }
  }
}

/** When the file, or the newest of the directory, was written; undefined for an empty directory. */
async function newestMs(path: string): Promise<number | undefined> {
  const own = await stat(path)
  if (!own.isDirectory()) return own.mtimeMs
  const names = (await readdir(path)).slice(-MOST_BACKUPS)
  const files = await Promise.all(names.map(name => stat(join(path, name)).catch(() => undefined)))
  const times = files.flatMap(file => (file?.isFile() ? [file.mtimeMs] : []))
  return times.length === 0 ? undefined : Math.max(...times)
}
