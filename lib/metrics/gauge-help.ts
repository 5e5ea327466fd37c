import type { GaugeName } from '../interface/telemetry.ts'

/** What each gauge says, in the words of the metrics page. */
export const gaugeHelp: Readonly<Record<GaugeName, string>> = {
  pool_stock_cells: 'Cells of 32 bytes that can still be issued to the hosts of this site',
  pool_leased_cells: 'Cells under an acknowledged lease, ready to go out at once',
  pool_virtual_cells: 'Cells of virtual blocks that can still be issued, by the level of their keys',
  pool_generation_bps: 'Key that comes into the pool, in bits per second',
  pool_consumption_bps: 'Key that hosts ask for, in bits per second',
  pool_peer_consumption_bps: 'Key that hosts of the other site ask for, as its leases show, in bits per second',
  pool_base_stock_cells: 'Cells that stock and orders of both lanes are to come to',
  pool_in_flight_cells: 'Cells that the network granted and that have not come',
  pool_asked_bps: 'Key that the pool asks of the network, in bits per second',
  pool_granted_bps: 'Key that the network grants the pool, in bits per second',
  pool_degraded: '1 while the network grants less than hosts ask for, 0 otherwise',
  pool_late_credit: 'Requests that may still come late within 1 in 1,000; below 0 more did',
  pool_exhaustion_ms: 'Time until the pool is used up at the present rate, in milliseconds',
  pool_waiting_requests: 'Requests that wait for key',
  pair_secret_epoch: 'Epoch of the secret of the two sites: one more with each refresh',
  pair_secret_age_ms: 'Age of the secret of the two sites, in milliseconds',
  pool_outstanding_keys: 'Keys that were issued and may still be fetched',
  link_rate_bps: 'Secret key that the link yields, in bits per second',
  link_qber: 'Quantum bit error rate of the link, 0 to 1',
  link_buffered_bits: 'Key that waits at the link, in bits',
  qnl_granted_bps: 'Key that the network promises for the pair, in bits per second',
  qnl_plan_epoch: 'Number of the plan in force',
  tls_pending_lookups: 'Handshakes that wait for their key',
}
