import type { GaugeName } from '../interface/telemetry.ts'

/** What a gauge counts in. On the page `ms` become seconds and bits bytes, the base units of Prometheus. */
type GaugeUnit = 'cells' | 'bps' | 'bits' | 'ms' | undefined

interface GaugeWords {
  readonly unit: GaugeUnit
  readonly help: string
}

/** How a gauge stands on the page of metrics. */
export interface GaugeMetric {
  readonly name: string
  /** The end of the name where the gauge has a unit (OpenMetrics 1.0, 4.5.1). */
  readonly unit: string | undefined
  readonly help: string
  /** By what a reading is multiplied. */
  readonly scale: number
}

const one = (help: string): GaugeWords => ({ unit: undefined, help })
const cells = (help: string): GaugeWords => ({ unit: 'cells', help })
const bps = (help: string): GaugeWords => ({ unit: 'bps', help: `${help}, in bits per second` })
const ms = (help: string): GaugeWords => ({ unit: 'ms', help: `${help}, in seconds` })

const words: Readonly<Record<GaugeName, GaugeWords>> = {
  pool_stock_cells: cells('Cells of 32 bytes that can still be issued to the hosts of this site'),
  pool_leased_cells: cells('Cells under an acknowledged lease, ready to go out at once'),
  pool_virtual_cells: cells('Cells of virtual blocks that can still be issued, by the level of their keys'),
  pool_generation_bps: bps('Key that comes into the pool'),
  pool_consumption_bps: bps('Key that hosts ask for'),
  pool_peer_consumption_bps: bps('Key that hosts of the other site ask for, as its leases show'),
  pool_base_stock_cells: cells('Cells that stock and orders of both lanes are to come to'),
  pool_in_flight_cells: cells('Cells that the network granted and that have not come'),
  pool_asked_bps: bps('Key that the pool asks of the network'),
  pool_granted_bps: bps('Key that the network grants the pool'),
  pool_position_cells: cells('Cells in stock and on their way, of both lanes, less those that requests wait for'),
  pool_reorder_cells: cells('Reorder point: with fewer in stock and on their way the network gives too little'),
  pool_degraded: one('1 while the network grants less than hosts ask for, 0 otherwise'),
  pool_late_credit: one('Requests that may still come late within 1 in 1,000; below 0 more did'),
  pool_exhaustion_ms: ms('Time until the pool is used up at the present rate'),
  pool_waiting_requests: one('Requests that wait for key'),
  pool_outstanding_keys: one('Keys that were issued and may still be fetched'),
  pair_secret_epoch: one('Epoch of the secret of the two sites: one more with each refresh'),
  pair_secret_age_ms: ms('Age of the secret of the two sites'),
  peer_connected: one('1 while the KMS of the other site is connected, 0 otherwise'),
  peer_clock_skew_ms: ms('How far the clock of the other KMS is ahead of this one'),
  peer_clock_error_ms: ms('By how much that may be wrong, either way'),
  link_up: one('1 while the link gives key, 0 while it is down'),
  link_rate_bps: bps('Secret key that the link yields'),
  link_qber: one('Quantum bit error rate of the link, 0 to 1'),
  link_buffered_bits: { unit: 'bits', help: 'Key that waits at the link, in bytes' },
  qnl_granted_bps: bps('Key that the network promises for the pair'),
  qnl_plan_epoch: one('Number of the plan in force'),
  tls_pending_lookups: one('Handshakes that wait for their key'),
  site_workers: one('Worker processes that serve hosts'),
  store_synchronous: one(
    '1 while as many standbys as the store waits for, at least one, have what is committed, 0 while fewer have',
  ),
  store_kek_version: one('Name of the key encryption key in use, as a number: another one after each change'),
  audit_blocked: one('1 while the audit log cannot be written and no key leaves, 0 otherwise'),
  certificate_expiry_ms: ms('When a certificate in use ends, since 1970'),
  kerberos_kvno: one('kvno of the key version in use'),
  kerberos_kvno_next: one('kvno of the version that follows'),
  kerberos_kvno_limit: one('The last kvno that the database can hold; of principals whose kvno wraps there is none'),
  rotation_failures: one('Rotations that failed since the last one that did not'),
  rotation_key_since_ms: ms('Since when the present key is in use, since 1970'),
}

/** Every gauge of the contract as a metric: name, unit and help. */
export const gaugeTable = Object.fromEntries(
  Object.entries(words).map(([name, { unit, help }]) => [name, metricOf(name, { unit, help })]),
) as Readonly<Record<GaugeName, GaugeMetric>>

function metricOf(name: string, { unit, help }: GaugeWords): GaugeMetric {
  if (unit === 'ms') return { name: `qkd_${name.replace(/_ms$/, '_seconds')}`, unit: 'seconds', help, scale: 0.001 }
  if (unit === 'bits') return { name: `qkd_${name.replace(/_bits$/, '_bytes')}`, unit: 'bytes', help, scale: 0.125 }
  return { name: `qkd_${name}`, unit, help, scale: 1 }
}
