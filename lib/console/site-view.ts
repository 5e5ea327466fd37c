import type { Alarm } from '../interface/alarm.ts'
import type { IncidentView } from '../interface/incident.ts'
import type { Unsubscribe } from '../interface/lifecycle.ts'
import type { LinkStatus } from '../interface/link.ts'
import type { NetworkStatus } from '../interface/network-controller.ts'
import type { TelemetryEvent, TelemetrySource } from '../interface/telemetry.ts'
import { GaugeTable } from './gauge-table.ts'
import type { HistorySample } from './history-ring.ts'
import { InterruptionLog } from './interruption-log.ts'
import { alarmsSection, IncidentBook } from './kept-alarms.ts'
import { NetworkMap } from './network-map.ts'
import type { ConsoleSections, HealthRow, PlanSection, PoolRow } from './sections.ts'
import { SessionBook } from './session-book.ts'
import { Traffic } from './traffic.ts'

/** What is shown: all of it now, and what the charts are drawn from. */
export interface ConsoleView extends Disposable {
  /** Looks again at what has to be asked for; called before `sections`. Never rejects. */
  refresh(): Promise<void>
  sections(): ConsoleSections
  sample(): HistorySample
}

/** A site as its console sees it. */
export interface SiteViewOptions {
  readonly siteId: string
  readonly telemetry: TelemetrySource
  /** What the gauges don't hold: link ends with their reasons, and which peers are connected. */
  readonly status: () => {
    readonly links: readonly LinkStatus[]
    readonly pools: readonly { readonly remoteSiteId: string; readonly connected: boolean }[]
  }
  /** The network as its controller sees it; undefined for a site without one. */
  readonly network?: (() => Promise<NetworkStatus>) | undefined
  /** Alarms that stand, and those that are over. */
  readonly alarms: () => readonly Alarm[]
  /** Incidents that are open when the console begins; of later ones it hears. */
  readonly incidents: readonly IncidentView[]
  /** What the site stands on. Never rejects. */
  readonly health: () => Promise<readonly HealthRow[]>
  readonly now?: () => number
}

/** Series of the charts that each pool has, at most. */
const MOST_POOL_SERIES = 64

/** Everything that a site's console shows, gathered from the site's one telemetry stream. */
export class SiteView implements ConsoleView {
  readonly #options: SiteViewOptions
  readonly #now: () => number
  readonly #startedAtMs: number
  readonly #traffic: Traffic
  readonly #incidents = new IncidentBook()
  readonly #interruptions: InterruptionLog
  readonly #sessions = new SessionBook()
  readonly #map = new NetworkMap()
  readonly #unsubscribe: Unsubscribe
  #gap: number | null = null
  #network: NetworkStatus | undefined
  #health: readonly HealthRow[] = []
  #policy: HealthRow | undefined

  constructor(options: SiteViewOptions) {
    const { now = Date.now } = options
    this.#options = options
    this.#now = now
    this.#startedAtMs = Math.round(now())
    this.#traffic = new Traffic({ now })
    this.#interruptions = new InterruptionLog({ now })
    for (const { about: selector, sites, ...incident } of options.incidents) {
      const untold = sites.filter(({ state }) => state === 'untold').map(({ siteId }) => siteId)
      this.#incidents.take({ ...incident, selector, untold }, incident.openedAtMs)
    }
    this.#unsubscribe = options.telemetry.subscribe((event, atMs) => this.#take(event, atMs))
  }

  async refresh(): Promise<void> {
    const { network, health } = this.#options
    const [status, rows] = await Promise.all([network?.().catch(() => undefined), health()])
    this.#network = status
    this.#health = rows
    for (const { linkId, state, reason } of this.#options.status().links) this.#noteLink(linkId, state, reason)
    for (const { linkId, state } of status?.links ?? []) this.#noteLink(linkId, state)
  }

  sections(): ConsoleSections {
    const gauges = new GaugeTable(this.#options.telemetry.readings())
    const { links, pools: peers } = this.#options.status()
    const { siteId } = this.#options
    const connected = new Map(peers.map(({ remoteSiteId, connected }) => [remoteSiteId, connected]))
    const around = { siteId, links, peers: [...connected].map(([id, up]) => ({ siteId: id, connected: up })) }
    const pools = poolRows(gauges, connected)
    return {
      about: { kind: 'site', id: siteId, startedAtMs: this.#startedAtMs },
      map: this.#network === undefined ? this.#map.ofNeighbours(around) : this.#map.ofNetwork(this.#network, around),
      pools,
      consumers: this.#traffic.consumers(),
      plan: this.#plan(gauges),
      requests: {
        waitingNow: pools.reduce((all, { waiting }) => all + waiting, 0),
        handshakesWaiting: gauges.count('tls_pending_lookups'),
        ...this.#traffic.requests(),
      },
      levels: this.#traffic.levels(),
      sessions: this.#sessions.section(),
      alarms: alarmsSection(this.#options.alarms(), { incidents: this.#incidents.rows(), nowMs: this.#now() }),
      interruptions: this.#interruptions.rows(),
      health: [...this.#health, ...(this.#policy === undefined ? [] : [this.#policy])],
    }
  }

  sample(): HistorySample {
    const gauges = new GaugeTable(this.#options.telemetry.readings())
    const pools = poolRows(gauges, new Map())
    const sum = (of: (pool: PoolRow) => number) => pools.reduce((all, pool) => all + of(pool), 0)
    return {
      generation: sum(({ generationBps }) => generationBps),
      consumption: sum(({ consumptionBps, peerConsumptionBps }) => consumptionBps + peerConsumptionBps),
      asked: gauges.peers.reduce((all, peer) => all + gauges.count('pool_asked_bps', { peer }), 0),
      granted: gauges.peers.reduce((all, peer) => all + gauges.count('pool_granted_bps', { peer }), 0),
      ...Object.fromEntries(pools.slice(0, MOST_POOL_SERIES).map(pool => [`stock ${pool.peer}`, pool.stockCells])),
    }
  }

  [Symbol.dispose](): void {
    this.#unsubscribe()
  }

  #take(event: TelemetryEvent, atMs: number): void {
    this.#traffic.take(event)
    this.#sessions.take(event, atMs)
    switch (event.type) {
      case 'incident':
        this.#incidents.take(event, atMs)
        return
      case 'alarm': {
        const [, pair] = /^pair-interrupted:(.*)$/.exec(event.id) ?? []
        if (pair === undefined) return
        const state = event.state === 'cleared' ? 'up' : event.severity === 'major' ? 'down' : 'degraded'
        this.#interruptions.note({ kind: 'pair', name: pair }, state, { atMs, reason: event.text })
        return
      }
      case 'link':
        this.#noteLink(event.linkId, event.state, event.reason, atMs)
        return
      case 'peer': {
        const { peerSiteId: name, state, reason } = event
        const shown = state === 'connected' ? 'up' : 'down'
        this.#interruptions.note({ kind: 'site', name }, shown, { atMs, ...(reason !== undefined && { reason }) })
        return
      }
      case 'plan':
        this.#gap = event.gap
        return
      case 'policy':
        this.#policy =
          event.outcome === 'in-force'
            ? { name: 'Policy', state: 'ok', text: `${event.rules} rules in force` }
            : { name: 'Policy', state: 'warning', text: `the last file was refused: ${event.reason}` }
        return
      default:
    }
  }

  #noteLink(linkId: string, state: LinkStatus['state'], reason?: string, atMs = this.#now()): void {
    this.#interruptions.note({ kind: 'link', name: linkId }, state, {
      atMs: Math.round(atMs),
      ...(reason !== undefined && { reason }),
    })
  }

  #plan(gauges: GaugeTable): PlanSection {
    const { siteId } = this.#options
    const rows = gauges.peers.map(peer => ({
      a: siteId,
      b: peer,
      askedBps: gauges.count('pool_asked_bps', { peer }),
      grantedBps: gauges.count('pool_granted_bps', { peer }),
    }))
    return {
      epoch: gauges.value('qnl_plan_epoch') ?? null,
      gap: this.#gap,
      askedBps: rows.reduce((all, { askedBps }) => all + askedBps, 0),
      grantedBps: rows.reduce((all, { grantedBps }) => all + grantedBps, 0),
      rows,
    }
  }
}

function poolRows(gauges: GaugeTable, connected: ReadonlyMap<string, boolean>): PoolRow[] {
  return gauges.peers.map(peer => {
    const exhaustionMs = gauges.value('pool_exhaustion_ms', { peer })
    return {
      peer,
      connected: connected.get(peer) ?? false,
      stockCells: gauges.count('pool_stock_cells', { lane: 'issue', peer }),
      leasedCells: gauges.count('pool_leased_cells', { peer }),
      virtualCells: (['expanded', 'post-quantum'] as const).reduce(
        (all, level) => all + gauges.count('pool_virtual_cells', { level, peer }),
        0,
      ),
      generationBps: Math.round(gauges.count('pool_generation_bps', { peer })),
      consumptionBps: gauges.count('pool_consumption_bps', { peer }),
      peerConsumptionBps: gauges.count('pool_peer_consumption_bps', { peer }),
      exhaustionMs: exhaustionMs === undefined || !Number.isFinite(exhaustionMs) ? null : exhaustionMs,
      waiting: gauges.count('pool_waiting_requests', { peer }),
      degraded: gauges.count('pool_degraded', { peer }) === 1,
    }
  })
}
