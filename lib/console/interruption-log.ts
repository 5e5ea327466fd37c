import type { InterruptionRow } from './sections.ts'

/** Interruptions that are kept. */
const MOST_ROWS = 300
/** How long one that is over is shown, in milliseconds. */
const SHOWN_MS = 3_600_000

type Subject = Pick<InterruptionRow, 'kind' | 'name'>

/** The times of the last hour in which a link, a site or a pair did not serve. */
export class InterruptionLog {
  readonly #running = new Map<string, InterruptionRow>()
  #over: InterruptionRow[] = []
  readonly #now: () => number

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now
  }

  /** Says how something stands from `atMs` on; the same as before changes nothing. */
  note(subject: Subject, state: 'up' | 'degraded' | 'down', { atMs, reason }: { atMs: number; reason?: string }): void {
    const key = `${subject.kind} ${subject.name}`
    const running = this.#running.get(key)
    if ((running?.state ?? 'up') === state) return
    if (running !== undefined) {
      this.#running.delete(key)
      this.#over = [{ ...running, toMs: atMs }, ...this.#over].slice(0, MOST_ROWS)
    }
    if (state === 'up' || this.#running.size >= MOST_ROWS) return
    const { kind, name } = subject
    this.#running.set(key, { kind, name, state, fromMs: atMs, ...(reason !== undefined && { reason }) })
  }

  /** Those that last, then those that are over, each the latest first. */
  rows(): InterruptionRow[] {
    const sinceMs = this.#now() - SHOWN_MS
    this.#over = this.#over.filter(({ toMs }) => toMs! > sinceMs)
    return [...[...this.#running.values()].sort((p, q) => q.fromMs - p.fromMs), ...this.#over]
  }
}
