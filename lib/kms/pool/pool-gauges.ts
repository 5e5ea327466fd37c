import type { Telemetry } from '../../interface/telemetry.ts'
import type { KeyPoolStatus } from './key-pool-status.ts'

/** Sets the gauges of a pool to what it says of itself. */
export function gaugePool(telemetry: Telemetry, status: KeyPoolStatus): void {
  const { remoteSiteId: peer, issuableCells, leasedCells, virtualCells, secret, waitingRequests, connected } = status
  telemetry.gauge('pool_stock_cells', { peer, lane: 'issue' }, issuableCells)
  telemetry.gauge('pool_leased_cells', { peer }, leasedCells)
  for (const level of ['expanded', 'post-quantum'] as const)
    telemetry.gauge('pool_virtual_cells', { peer, level }, virtualCells[level])
  if (secret !== undefined) {
    telemetry.gauge('pair_secret_epoch', { peer }, secret.epoch)
    telemetry.gauge('pair_secret_age_ms', { peer }, secret.ageMs)
  }
  telemetry.gauge('pool_waiting_requests', { peer }, waitingRequests)
  telemetry.gauge('peer_connected', { peer }, Number(connected))
}
