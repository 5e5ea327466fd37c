import type { AlarmSeverity, TelemetryEvent } from '../interface/telemetry.ts'
import type { AlarmRow, AlarmsSection } from './sections.ts'

const ORDER: readonly AlarmSeverity[] = ['critical', 'major', 'minor', 'warning']
/** Alarms that are kept, standing and over apart. */
const MOST_ALARMS = 1_000
/** How long an alarm that is over is shown, in milliseconds. */
const SHOWN_MS = 3_600_000
const MOST_OVER = 50
const MOST_ROWS = 200

type AlarmEvent = Extract<TelemetryEvent, { type: 'alarm' }>

/** Alarms where nobody else keeps them: those that stand, and those of the last hour that are over. */
export class AlarmBook {
  readonly #standing = new Map<string, AlarmRow>()
  #over: AlarmRow[] = []
  readonly #now: () => number

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now
  }

  /** Takes an event; one alarm raised again keeps its time and takes the new words. */
  take(event: AlarmEvent, atMs: number): void {
    const { id, severity, text } = event
    const known = this.#standing.get(id)
    if (event.state === 'raised') {
      if (known === undefined && this.#standing.size >= MOST_ALARMS) return
      this.#standing.set(id, { id, severity, text, raisedAtMs: known?.raisedAtMs ?? atMs })
      return
    }
    if (known === undefined) return
    this.#standing.delete(id)
    this.#over = [{ ...known, clearedAtMs: atMs }, ...this.#over].slice(0, MOST_OVER)
  }

  section(): AlarmsSection {
    const sinceMs = this.#now() - SHOWN_MS
    this.#over = this.#over.filter(({ clearedAtMs }) => clearedAtMs! > sinceMs)
    return { standing: worstFirst([...this.#standing.values()]), over: this.#over }
  }
}

/** As many rows as go to the page, the worst and then the newest first. */
export function worstFirst(rows: readonly AlarmRow[]): AlarmRow[] {
  const rank = ({ severity }: AlarmRow) => ORDER.indexOf(severity)
  return rows.toSorted((p, q) => rank(p) - rank(q) || q.raisedAtMs - p.raisedAtMs).slice(0, MOST_ROWS)
}
