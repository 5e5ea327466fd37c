/** A clock and the alarms that go by it, so that whoever simulates can be the one to move them. */
export interface Timers {
  /** Milliseconds on a clock that never steps. */
  readonly nowMs: () => number
  /** Calls `run` once, `delayMs` from now, unless the function that it gives is called before. */
  readonly after: (delayMs: number, run: () => void) => () => void
}

/** The machine's own. */
export const systemTimers: Timers = {
  nowMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
}
