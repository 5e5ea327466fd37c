import type { Alarm } from '../interface/alarm.ts'
import type { TelemetryEvent } from '../interface/telemetry.ts'
import { worstFirst } from './alarm-book.ts'
import type { AlarmRow, AlarmsSection } from './sections.ts'

/** How long an alarm that is over is shown, in milliseconds. */
const SHOWN_MS = 3_600_000
const MOST_OVER = 50
const MOST_INCIDENTS = 1_000

type IncidentEvent = Omit<Extract<TelemetryEvent, { type: 'incident' }>, 'type'>

/** Incidents that are open: each stands among the alarms, since its keys are missing until somebody sees to it. */
export class IncidentBook {
  readonly #open = new Map<string, AlarmRow>()

  take({ id, state, selector, originSiteId, untold }: IncidentEvent, atMs: number): void {
    const name = `incident:${id}`
    if (state === 'released') {
      this.#open.delete(name)
      return
    }
    if (this.#open.size >= MOST_INCIDENTS && !this.#open.has(name)) return
    const what = state === 'held' ? 'keys are held back' : 'keys are void'
    const missing = untold.length === 0 ? '' : `; not told yet: ${untold.join(', ')}`
    this.#open.set(name, {
      id: name,
      // A site that does not know of it still gives such keys out.
      severity: untold.length === 0 ? 'major' : 'critical',
      text: `Incident ${id} of ${originSiteId}: ${what} (${selector})${missing}`,
      raisedAtMs: this.#open.get(name)?.raisedAtMs ?? atMs,
    })
  }

  rows(): AlarmRow[] {
    return [...this.#open.values()]
  }
}

/** What the keeper of a site's alarms says, and the incidents that are open. */
export function alarmsSection(
  alarms: readonly Alarm[],
  { incidents, nowMs }: { incidents: readonly AlarmRow[]; nowMs: number },
): AlarmsSection {
  const row = ({ id, severity, text, raisedAtMs, state }: Alarm): AlarmRow => ({
    ...{ id, severity, text, raisedAtMs },
    ...(state === 'acknowledged' && { acknowledged: true }),
  })
  const over = alarms.filter(({ state, changedAtMs }) => state === 'cleared' && changedAtMs > nowMs - SHOWN_MS)
  return {
    standing: worstFirst([...alarms.filter(({ state }) => state !== 'cleared').map(row), ...incidents]),
    over: over
      .toSorted((p, q) => q.changedAtMs - p.changedAtMs)
      .slice(0, MOST_OVER)
      .map(alarm => ({ ...row(alarm), clearedAtMs: alarm.changedAtMs })),
  }
}
