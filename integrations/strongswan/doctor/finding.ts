/** What the doctor says of one thing that it looked at. */
export interface Finding {
  /** What was looked at, such as `ppk_required` or `log levels`. */
  readonly check: string
  /** `fault`: a key, or traffic, is in danger. `warning`: it works, and worse than it could. `unknown`: it can't be seen. */
  readonly verdict: 'ok' | 'warning' | 'fault' | 'unknown'
  /** What is so, in words. */
  readonly text: string
  /** What to do about it; undefined where there is nothing to mend. */
  readonly mend?: string
}

/** Findings of one check, in short. */
export function finder(check: string) {
  return {
    ok: (text: string): Finding => ({ check, verdict: 'ok', text }),
    unknown: (text: string, mend?: string): Finding => ({ check, verdict: 'unknown', text, mend }),
    warning: (text: string, mend: string): Finding => ({ check, verdict: 'warning', text, mend }),
    fault: (text: string, mend: string): Finding => ({ check, verdict: 'fault', text, mend }),
  }
}
