import type { TelemetryEvent } from '../interface/telemetry.ts'
import type { MetricFamily } from './open-metrics.ts'

/** Series of one family at most: names come from outside, and memory must not grow with them. */
const MAX_SERIES = 10_000

interface Counter {
  readonly help: string
  readonly series: Map<string, { labels: Readonly<Record<string, string>>; value: number }>
}

/** Counts what the layers of a site tell, by what does not grow: sites, levels, reasons. Never by key or by host. */
export class EventCounters {
  readonly #counters = new Map<string, Counter>()
  readonly #alarms = new Map<string, { id: string; severity: string }>()

  /** Takes one event. */
  count(event: TelemetryEvent): void {
    switch (event.type) {
      case 'key-issued':
      case 'key-retrieved': {
        const { peerSiteId: peer, level, trustClass: path } = event
        const [name, what] =
          event.type === 'key-issued' ? ['qkd_keys_issued', 'issued'] : ['qkd_keys_fetched', 'fetched']
        this.#add(name, `Keys ${what} by the hosts of this site`, { peer, level, path })
        return
      }
      case 'key-refused':
        this.#add('qkd_requests_refused', 'Requests refused', { operation: event.operation, code: event.code })
        return
      case 'keys-lowered': {
        const { peerSiteId: peer, from, to, keys } = event
        this.#add('qkd_keys_lowered', 'Keys issued at a lower level than asked for', { peer, from, to }, keys)
        return
      }
      case 'request-waited':
        this.#add('qkd_requests_waited', 'Requests that had to wait for key', { peer: event.peerSiteId })
        this.#add(
          'qkd_request_wait_seconds',
          'Time that requests waited',
          { peer: event.peerSiteId },
          event.waitMs / 1000,
        )
        return
      case 'demand-surge':
        this.#add('qkd_demand_surges', 'Sudden rises of demand that were seen', {
          peer: event.peerSiteId,
          lane: event.lane,
        })
        return
      case 'cells-burned':
        this.#add('qkd_cells_burned', 'Cells burned', { peer: event.peerSiteId, reason: event.reason }, event.cells)
        return
      case 'cells-expired':
        this.#add('qkd_cells_expired', 'Cells of keys that nobody fetched', { peer: event.peerSiteId }, event.cells)
        return
      case 'pool-reset':
        this.#addLost(event)
        this.#add('qkd_pool_resets', 'Times a pool began anew', { peer: event.peerSiteId, reason: event.reason })
        return
      case 'pool-resync': {
        const { peerSiteId: peer, side } = event
        this.#addLost(event)
        this.#add('qkd_pool_resyncs', 'Times a store was put back and made good with the other site', { peer, side })
        return
      }
      case 'relay-refused': {
        const { peerSiteId: peer, reason } = event
        this.#add('qkd_relay_refused', 'Frames and chunks of other nodes that were thrown away', { peer, reason })
        return
      }
      case 'link-key-burned': {
        const { linkId: link, reason, bytes } = event
        this.#add('qkd_link_key_burned_bytes', 'Link key that was destroyed unused', { link, reason }, bytes)
        return
      }
      case 'pair-secret':
        this.#add('qkd_pair_secret_refreshes', 'Refreshes of the secret of two sites, and attempts at it', {
          peer: event.peerSiteId,
          outcome: event.outcome,
        })
        return
      case 'replica':
        this.#add('qkd_replica_changes', 'Changes of the owner of the pools, as this replica saw them', {
          role: event.role,
        })
        break
      case 'worker':
        if (event.state === 'lost') this.#add('qkd_workers_lost', 'Worker processes that ended by themselves', {})
        return
      case 'policy':
        this.#add('qkd_policy_loads', 'Policies that came into force, or were refused', { outcome: event.outcome })
        return
      case 'rotation': {
        const { integration, peer, outcome } = event
        this.#add('qkd_rotations', 'Keys that came into use, were retired, or did not come', {
          integration,
          peer,
          outcome,
        })
        return
      }
      case 'tls-session':
        this.#add('qkd_tls_sessions', 'TLS sessions under a key of the KMS', { level: event.level ?? 'unknown' })
        return
      case 'tls-refused':
        this.#add('qkd_tls_refused', 'TLS handshakes that were refused', {})
        return
      case 'alarm-delivery': {
        const { sink, outcome } = event
        this.#add('qkd_alarm_deliveries', 'Alarms that a sink took, or did not', { sink, outcome })
        return
      }
      case 'alarm':
        if (event.state === 'cleared') this.#alarms.delete(event.id)
        else if (this.#alarms.size < MAX_SERIES) this.#alarms.set(event.id, { id: event.id, severity: event.severity })
        return
      default:
    }
  }

  /** Everything counted so far, and the alarms that are raised. */
  families(): MetricFamily[] {
    const counters = [...this.#counters].map(
      ([name, { help, series }]): MetricFamily => ({ name, type: 'counter', help, samples: [...series.values()] }),
    )
    const alarms = [...this.#alarms.values()].map(labels => ({ labels, value: 1 }))
    const help = 'Causes of alarms that are there now'
    return [...counters, { name: 'qkd_alarm', type: 'gauge', help, samples: alarms }]
  }

  #addLost({ peerSiteId: peer, lostCells }: { peerSiteId: string; lostCells: number }): void {
    if (lostCells > 0)
      this.#add('qkd_cells_lost', 'Cells that went because a store was put back or lost', { peer }, lostCells)
  }

  #add(name: string, help: string, labels: Readonly<Record<string, string>>, value = 1): void {
    const counter = this.#counters.get(name) ?? { help, series: new Map() }
    this.#counters.set(name, counter)
    const key = JSON.stringify(labels)
    const known = counter.series.get(key)
    if (known !== undefined) known.value += value
    else if (counter.series.size < MAX_SERIES) counter.series.set(key, { labels, value })
  }
}
