import type { SecurityLevel, TrustClass } from './kms.ts'
import type { Unsubscribe } from './lifecycle.ts'
import type { LinkState } from './link.ts'

/** How bad an alarm is, in the order of RFC 8632. */
export type AlarmSeverity = 'warning' | 'minor' | 'major' | 'critical'

/**
 * Everything a layer tells about itself (design, section 4). Logs, metrics, audit, alarms and the console read this one
 * stream; no event ever holds key bytes.
 */
export type TelemetryEvent =
  | {
      type: 'key-issued'
      peerSiteId: string
      masterSaeId: string
      slaveSaeId: string
      keyId: string
      sizeBits: number
      level: SecurityLevel
      trustClass: TrustClass
    }
  | {
      type: 'key-retrieved'
      peerSiteId: string
      masterSaeId: string
      slaveSaeId: string
      keyId: string
      sizeBits: number
      level: SecurityLevel
      trustClass: TrustClass
    }
  | {
      type: 'key-refused'
      operation: 'getKey' | 'getKeyWithIds'
      saeId: string
      peerSaeId: string
      code: string
      reason: string
    }
  | {
      type: 'keys-lowered'
      peerSiteId: string
      masterSaeId: string
      slaveSaeId: string
      from: SecurityLevel
      to: SecurityLevel
      keys: number
    }
  | { type: 'request-waited'; peerSiteId: string; waitMs: number }
  | { type: 'block'; peerSiteId: string; block: string; from: string; to: string; row: number; reason?: string }
  /** Row 9 (`asked`) and row 10 (`acknowledged`): these cells of a block may be issued, or fetched, from now on. */
  | { type: 'lease'; peerSiteId: string; block: string; from: number; to: number; side: 'asked' | 'acknowledged' }
  | { type: 'cells-burned'; peerSiteId: string; cells: number; reason: string }
  | { type: 'cells-expired'; peerSiteId: string; cells: number }
  /** Both sites dropped everything; `lostCells` could still have been given out at this one. */
  | { type: 'pool-reset'; peerSiteId: string; poolEpoch: number; blocks: number; lostCells: number; reason: string }
  /** A store was put back, here (`local`) or at the peer, and took over what it forgot. */
  | {
      type: 'pool-resync'
      peerSiteId: string
      side: 'local' | 'peer'
      blocksKept: number
      blocksDropped: number
      lostCells: number
    }
  | {
      type: 'pair-secret'
      peerSiteId: string
      outcome: 'refreshed' | 'refused' | 'failed'
      /** The epoch that holds from now on. */
      epoch: number
      kem?: string
      reason?: string
    }
  | { type: 'peer'; peerSiteId: string; state: 'connected' | 'disconnected' | 'suspended'; reason?: string }
  | { type: 'link'; linkId: string; state: LinkState; reason?: string }
  | { type: 'demand'; peerSiteId: string; askedBps: number; grantedBps: number }
  | { type: 'demand-surge'; peerSiteId: string; lane: 'issue' | 'retrieve'; wasBps: number; rateBps: number }
  | { type: 'plan'; epoch: number; gap: number }
  /** A frame or chunk of another node was thrown away. */
  | { type: 'relay-refused'; peerSiteId: string; reason: string }
  /** Key of a link was destroyed unused. */
  | { type: 'link-key-burned'; linkId: string; bytes: number; reason: string }
  | { type: 'policy'; outcome: 'in-force'; rules: number }
  | { type: 'policy'; outcome: 'refused'; reason: string }
  | {
      type: 'rotation'
      integration: string
      peer: string
      keyId: string
      outcome: 'in-use' | 'retired' | 'failed'
      reason?: string
    }
  /** A host says of a key that it has: something stands on it since `atMs`, or no more. */
  | { type: 'key-in-use'; saeId: string; peerSaeId: string; keyId: string; use: string; atMs: number }
  | { type: 'key-retired'; saeId: string; peerSaeId: string; keyId: string; use: string; atMs: number }
  /** Keys are held back, or were erased, because somebody else may know them. `untold` are sites that do not know of it yet. */
  | {
      type: 'incident'
      id: string
      state: 'held' | 'invalidated' | 'released'
      selector: string
      originSiteId: string
      untold: readonly string[]
    }
  | { type: 'tls-session'; masterSaeId: string; slaveSaeId: string; keyId: string; level: SecurityLevel | undefined }
  | { type: 'tls-refused'; saeId: string; reason: string }
  /** A process that serves hosts has come or gone; `ready` of `count` serve now. */
  | { type: 'worker'; state: 'ready' | 'lost'; ready: number; count: number; reason?: string }
  /** Who owns the pools of a site with replicas has changed, as this one sees it. */
  | { type: 'replica'; role: 'owner' | 'follower' | 'none'; epoch?: number; ownerId?: string }
  /** What a layer says: a cause is there, or gone. What becomes of it for people is `alarm-state`. */
  | { type: 'alarm'; id: string; severity: AlarmSeverity; state: 'raised' | 'cleared'; text: string }
  | {
      type: 'alarm-state'
      id: string
      severity: AlarmSeverity
      state: AlarmState
      text: string
      /** Who acknowledged it. */
      operator?: string
    }
  | { type: 'alarm-delivery'; sink: string; outcome: 'delivered' | 'failed' | 'dropped'; reason?: string }

/** Where an alarm stands for the people who look after a site. */
export type AlarmState = 'active' | 'acknowledged' | 'cleared'

/** Gauges by name, with the labels each one takes. Units are in the names. */
export interface GaugeLabels {
  pool_stock_cells: { peer: string; lane: 'issue' | 'retrieve' }
  pool_leased_cells: { peer: string }
  pool_virtual_cells: { peer: string; level: 'expanded' | 'post-quantum' }
  pool_generation_bps: { peer: string }
  pool_consumption_bps: { peer: string }
  pool_peer_consumption_bps: { peer: string }
  pool_base_stock_cells: { peer: string }
  pool_in_flight_cells: { peer: string }
  pool_asked_bps: { peer: string }
  pool_granted_bps: { peer: string }
  pool_position_cells: { peer: string }
  pool_reorder_cells: { peer: string }
  pool_degraded: { peer: string }
  pool_late_credit: { peer: string }
  pool_exhaustion_ms: { peer: string }
  pool_waiting_requests: { peer: string }
  pool_outstanding_keys: { peer: string }
  pair_secret_epoch: { peer: string }
  pair_secret_age_ms: { peer: string }
  peer_connected: { peer: string }
  peer_clock_skew_ms: { peer: string }
  peer_clock_error_ms: { peer: string }
  link_up: { link: string }
  link_rate_bps: { link: string }
  link_qber: { link: string }
  link_buffered_bits: { link: string }
  qnl_granted_bps: { peer: string }
  qnl_plan_epoch: Record<never, never>
  tls_pending_lookups: Record<never, never>
  site_workers: Record<never, never>
  /** Set by each replica of a store that has a standby or waits for one, and by no other. */
  store_synchronous: Record<never, never>
  store_kek_version: Record<never, never>
  audit_blocked: Record<never, never>
  certificate_expiry_ms: { certificate: string; subject: string }
  kerberos_kvno: { principal: string }
  kerberos_kvno_next: { principal: string }
  kerberos_kvno_limit: { principal: string }
  rotation_failures: { integration: string; peer: string; name: string }
  rotation_key_since_ms: { integration: string; peer: string; name: string }
}

export type GaugeName = keyof GaugeLabels

/** One reading of one gauge. */
export interface GaugeReading {
  name: GaugeName
  labels: Record<string, string>
  value: number
}

/** The stream every layer writes to. Emitting never throws and never waits. */
export interface Telemetry {
  emit(event: TelemetryEvent): void
  /** Sets a gauge; the last value stands until the next. */
  gauge<N extends GaugeName>(name: N, labels: GaugeLabels[N], value: number): void
}

/** The reading end of the stream. */
export interface TelemetrySource {
  /** Calls `listener` for each event from now on, in order. */
  subscribe(listener: (event: TelemetryEvent, atMs: number) => void): Unsubscribe
  /** The present value of every gauge ever set. */
  readings(): GaugeReading[]
}
