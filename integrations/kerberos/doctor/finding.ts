/** What one check of `doctor` found. */
export interface Finding {
  /** What was looked at, such as `lock file`. */
  readonly check: string
  readonly state: 'ok' | 'warning' | 'fault'
  /** What was found. */
  readonly text: string
  /** What to do about it; undefined where nothing is to be done. */
  readonly fix?: string
}

/** Nothing is wrong there. */
export function ok(check: string, text: string): Finding {
  return { check, state: 'ok', text }
}

/** Something that will be wrong one day, or is not as it should be. */
export function warning(check: string, text: string, fix: string): Finding {
  return { check, state: 'warning', text, fix }
}

/** Something that keeps the trust from working, or from being what it should be. */
export function fault(check: string, text: string, fix: string): Finding {
  return { check, state: 'fault', text, fix }
}
