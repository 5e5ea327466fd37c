import type { AlarmSeverity } from '../interface/telemetry.ts'

/**
 * What the console's page shows, part by part, as it goes to the browser: plain JSON, times in milliseconds since 1970, no number
 * that is not finite. A part whose text is the same as a second ago is not sent again, so no part holds an age.
 */
export interface ConsoleSections {
  readonly about: AboutSection
  readonly map: MapSection
  /** Undefined where nobody here has pools: at a controller. */
  readonly pools?: readonly PoolRow[]
  readonly consumers?: ConsumersSection
  readonly plan: PlanSection
  readonly requests?: RequestsSection
  readonly levels?: LevelsSection
  readonly sessions?: SessionsSection
  readonly alarms: AlarmsSection
  readonly interruptions: readonly InterruptionRow[]
  readonly health: readonly HealthRow[]
}

export type SectionName = keyof ConsoleSections

/** Who speaks. */
export interface AboutSection {
  readonly kind: 'site' | 'controller'
  readonly id: string
  readonly startedAtMs: number
}

/** A site on the map, at a place from 0 to 1 each way. */
export interface MapSite {
  readonly siteId: string
  readonly state: 'here' | 'joined' | 'away' | 'unknown'
  readonly x: number
  readonly y: number
}

/** A link on the map. */
export interface MapLink {
  readonly linkId: string
  readonly a: string
  readonly b: string
  readonly state: 'up' | 'degraded' | 'down'
  readonly reason?: string
  /** Key that it yields, in bits per second. */
  readonly rateBps: number
  /** What the plan sends over it; undefined where nobody plans. */
  readonly loadBps?: number
  readonly qber?: number
  readonly secrecy: string
  /** Kept out of the plans: `damped`, `filling` or `drained`. */
  readonly out?: string
}

/** The network as far as it is known here. */
export interface MapSection {
  /** `neighbours`: the own links alone. `controller`: the whole of it, as its controller sees it. */
  readonly seenBy: 'neighbours' | 'controller'
  readonly sites: readonly MapSite[]
  readonly links: readonly MapLink[]
}

/** The pool towards one site: the values of the gauges of that name. */
export interface PoolRow {
  readonly peer: string
  readonly connected: boolean
  readonly stockCells: number
  readonly leasedCells: number
  readonly virtualCells: number
  readonly generationBps: number
  readonly consumptionBps: number
  readonly peerConsumptionBps: number
  /** Until the stock is used up at the present rate; null while nobody asks. */
  readonly exhaustionMs: number | null
  readonly waiting: number
  readonly degraded: boolean
}

/** Keys of one host for another in the last hour. */
export interface ConsumerRow {
  readonly master: string
  readonly slave: string
  readonly peer: string
  /** Whose hosts began: `out` those of this site. */
  readonly direction: 'out' | 'in'
  readonly keys: number
  readonly bits: number
}

/** Who takes the key, most first. */
export interface ConsumersSection {
  readonly rows: readonly ConsumerRow[]
  /** Those that are not in `rows`, together. */
  readonly others: { readonly count: number; readonly keys: number; readonly bits: number }
  readonly totalBits: number
}

/** A pair's demand and what it is given. */
export interface PlanRow {
  readonly a: string
  readonly b: string
  readonly askedBps: number
  readonly grantedBps: number
  readonly reason?: string
}

/** What is asked of the network, and what its plan gives. */
export interface PlanSection {
  readonly epoch: number | null
  /** How far the plan may be from the best one, as a fraction. */
  readonly gap: number | null
  readonly askedBps: number
  readonly grantedBps: number
  readonly rows: readonly PlanRow[]
}

/** Requests that were refused for one reason. */
export interface RefusalRow {
  /** Where: `getKey`, `getKeyWithIds`, `tls`. */
  readonly operation: string
  readonly reason: string
  readonly lastFiveMinutes: number
  readonly lastHour: number
}

/** Requests that wait, waited, or were refused. */
export interface RequestsSection {
  readonly waitingNow: number
  readonly handshakesWaiting: number
  readonly waitedLastHour: number
  readonly meanWaitMs: number
  readonly refused: readonly RefusalRow[]
}

/** Keys of one level and path in the last hour. */
export interface LevelRow {
  readonly level: string
  readonly path: string
  readonly keys: number
  readonly bits: number
}

/** The security levels in use. */
export interface LevelsSection {
  readonly rows: readonly LevelRow[]
  readonly loweredKeys: number
}

/** A session that stands on a key. */
export interface SessionRow {
  readonly integration: string
  readonly session: string
  readonly saeId: string
  readonly peerSaeId: string
  readonly keyedAtMs: number
  readonly keyId: string
  readonly level?: string
  /** What shows that the key is in use; undefined where nothing does. */
  readonly proof?: string
  /** Why the last change of its key failed, if it did. */
  readonly failure?: string
}

/** Sessions by integration, those with the oldest keys first. */
export interface SessionsSection {
  readonly rows: readonly SessionRow[]
  readonly counts: readonly {
    readonly integration: string
    readonly inUse: number
    readonly proven: number
    readonly failing: number
  }[]
}

/** An alarm that stands, or did within the hour. */
export interface AlarmRow {
  readonly id: string
  readonly severity: AlarmSeverity
  readonly text: string
  readonly raisedAtMs: number
  readonly clearedAtMs?: number
  readonly acknowledged?: boolean
}

/** Alarms, the worst first, then those that are over. */
export interface AlarmsSection {
  readonly standing: readonly AlarmRow[]
  readonly over: readonly AlarmRow[]
}

/** A time in which something did not serve. */
export interface InterruptionRow {
  readonly kind: 'link' | 'site' | 'pair'
  readonly name: string
  readonly state: 'down' | 'degraded'
  readonly fromMs: number
  /** Undefined while it lasts. */
  readonly toMs?: number
  readonly reason?: string
}

/** One thing that the rest stands on. */
export interface HealthRow {
  readonly name: string
  readonly state: 'ok' | 'warning' | 'bad' | 'off'
  readonly text: string
}

/** The page's charts: the last hour, one value each ten seconds. */
export interface ConsoleHistory {
  readonly stepMs: number
  readonly atMs: readonly number[]
  readonly series: Readonly<Record<string, readonly number[]>>
}
