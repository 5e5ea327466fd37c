import type { NetworkStatus } from '../interface/network-controller.ts'
import type { AlarmSeverity } from '../interface/telemetry.ts'
import { AlarmBook } from './alarm-book.ts'
import type { HistorySample } from './history-ring.ts'
import { InterruptionLog } from './interruption-log.ts'
import { NetworkMap } from './network-map.ts'
import type { ConsoleSections, HealthRow, MapSection } from './sections.ts'
import type { ConsoleView } from './site-view.ts'

/** A network as its controller's console sees it. */
export interface ControllerViewOptions {
  readonly controllerId: string
  /** The network now; undefined where this replica waits for its turn. */
  readonly status: () => Promise<NetworkStatus | undefined>
  readonly now?: () => number
}

/** Everything that a controller's console shows. Pools, hosts and sessions are the sites' own, and shown there. */
export class ControllerView implements ConsoleView {
  readonly #options: ControllerViewOptions
  readonly #now: () => number
  readonly #startedAtMs: number
  readonly #alarms: AlarmBook
  readonly #interruptions: InterruptionLog
  readonly #map = new NetworkMap()
  #status: NetworkStatus | undefined
  #failure: string | undefined

  constructor(options: ControllerViewOptions) {
    const { now = Date.now } = options
    this.#options = options
    this.#now = now
    this.#startedAtMs = Math.round(now())
    this.#alarms = new AlarmBook({ now })
    this.#interruptions = new InterruptionLog({ now })
  }

  async refresh(): Promise<void> {
    try {
      this.#status = await this.#options.status()
      this.#failure = undefined
    } catch (error) {
      this.#failure = (error as Error).message
    }
    if (this.#status !== undefined) this.#watch(this.#status)
  }

  sections(): ConsoleSections {
    const status = this.#status
    const pairs = status?.pairs ?? []
    return {
      about: { kind: 'controller', id: this.#options.controllerId, startedAtMs: this.#startedAtMs },
      map: status === undefined ? NO_MAP : this.#map.ofNetwork(status),
      plan: {
        epoch: status?.epoch ?? null,
        gap: status?.gap ?? null,
        askedBps: sum(pairs, 'askedBps'),
        grantedBps: sum(pairs, 'grantedBps'),
        rows: pairs.map(({ a, b, askedBps, grantedBps, reason }) => ({
          ...{ a, b, askedBps: Math.round(askedBps), grantedBps: Math.round(grantedBps) },
          ...(reason !== undefined && { reason }),
        })),
      },
      alarms: this.#alarms.section(),
      interruptions: this.#interruptions.rows(),
      health: this.#health(),
    }
  }

  sample(): HistorySample {
    const { pairs = [], links = [] } = this.#status ?? {}
    return {
      asked: sum(pairs, 'askedBps'),
      granted: sum(pairs, 'grantedBps'),
      generation: sum(links, 'rateBps'),
      consumption: sum(links, 'loadBps'),
    }
  }

  [Symbol.dispose](): void {}

  /** What is amiss in the network as alarms: there is no stream of them at a controller. */
  #watch({ sites, links }: NetworkStatus): void {
    const atMs = Math.round(this.#now())
    for (const { siteId, state } of sites) {
      // A site that was never there is part of the plan for another day.
      if (state === 'unknown') continue
      const isAway = state === 'away'
      this.#interruptions.note({ kind: 'site', name: siteId }, isAway ? 'down' : 'up', { atMs })
      this.#tell(`site-away:${siteId}`, isAway, { severity: 'major', text: `The node of ${siteId} is away` })
    }
    for (const { linkId, state, damped } of links) {
      this.#interruptions.note({ kind: 'link', name: linkId }, state, { atMs })
      const isOut = state === 'down' || damped
      const text = state === 'down' ? `Link ${linkId} is down` : `Link ${linkId} comes and goes`
      this.#tell(`link-down:${linkId}`, isOut, { severity: 'major', text })
    }
  }

  #tell(id: string, stands: boolean, { severity, text }: { severity: AlarmSeverity; text: string }): void {
    this.#alarms.take({ type: 'alarm', id, severity, text, state: stands ? 'raised' : 'cleared' }, this.#now())
  }

  #health(): HealthRow[] {
    const status = this.#status
    if (this.#failure !== undefined) return [{ name: 'Controller', state: 'bad', text: this.#failure }]
    if (status === undefined) return [{ name: 'Controller', state: 'off', text: 'another replica plans' }]
    const joined = status.sites.filter(({ state }) => state === 'joined').length
    const isWhole = joined === status.sites.length
    return [
      { name: 'Controller', state: 'ok', text: `${status.controllerId} plans` },
      { name: 'Sites', state: isWhole ? 'ok' : 'warning', text: `${joined} of ${status.sites.length} joined` },
      { name: 'Planner', state: 'ok', text: `last plan took ${Math.round(status.planMs)} ms` },
    ]
  }
}

const NO_MAP: MapSection = { seenBy: 'controller', sites: [], links: [] }

function sum<K extends string>(rows: readonly Readonly<Record<K, number>>[], field: K): number {
  return Math.round(rows.reduce((all, row) => all + row[field], 0))
}
