import type { AlarmSeverity, TelemetryEvent } from '../interface/telemetry.ts'
import type { AlarmRow, AlarmsSection } from './sections.ts'

const ORDER: readonly AlarmSeverity[] = ['critical', 'major', 'minor', 'warning']
/** Alarms that are kept, standing and over apart. */
const MOST_ALARMS = 1_000
/** How long an alarm that is over is shown, in milliseconds. */
const SHOWN_MS = 3_600_000
const MOST_OVER = 50

type AlarmEvent = Extract<TelemetryEvent, { type: 'alarm' | 'alarm-state' }>

/** The alarms of the stream: those that stand, and those of the last hour that are over. */
export class AlarmBook {
  readonly #standing = new Map<string, AlarmRow>()
  #over: AlarmRow[] = []
  #isKept = false
  readonly #now: () => number

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now
  }

  /** Takes an event; one alarm raised again keeps its time and takes the new words. */
  take(event: AlarmEvent, atMs: number): void {
    if (event.type === 'alarm-state' && !this.#isKept) {
      // From here on somebody keeps the alarms, and what the layers say reaches people through that alone.
      this.#isKept = true
      this.#standing.clear()
    } else if (event.type === 'alarm' && this.#isKept) return
    const { id, severity, text } = event
    const known = this.#standing.get(id)
    if (event.state !== 'cleared') {
      if (known === undefined && this.#standing.size >= MOST_ALARMS) return
      const acknowledged = event.state === 'acknowledged'
      const { raisedAtMs } = known ?? { raisedAtMs: atMs }
      this.#standing.set(id, { id, severity, text, raisedAtMs, ...(acknowledged && { acknowledged }) })
      return
    }
    if (known === undefined) return
    this.#standing.delete(id)
    this.#over = [{ ...known, clearedAtMs: atMs }, ...this.#over].slice(0, MOST_OVER)
  }

  section(): AlarmsSection {
    const sinceMs = this.#now() - SHOWN_MS
    this.#over = this.#over.filter(({ clearedAtMs }) => clearedAtMs! > sinceMs)
    const rank = ({ severity }: AlarmRow) => ORDER.indexOf(severity)
    const standing = [...this.#standing.values()].sort((p, q) => rank(p) - rank(q) || q.raisedAtMs - p.raisedAtMs)
    return { standing: standing.slice(0, MOST_OVER * 4), over: this.#over }
  }
}
