import type { QkdErrorCode } from '../../errors.ts'

/** What was looked at, in the order in which it's told. */
export type KmeCheck =
  | 'connection'
  | 'certificate'
  | 'identity'
  | 'old TLS'
  | 'no certificate'
  | 'status'
  | 'methods'
  | 'unknown path'
  | 'malformed key_ID'
  | 'unknown key_ID'
  | 'POST'
  | 'key'

/** One thing that was found out about a KME. */
export interface KmeFinding {
  readonly check: KmeCheck
  /** `deviation`: against the standard, and it works all the same; `fault`: no key comes this way. */
  readonly state: 'ok' | 'note' | 'deviation' | 'fault'
  readonly text: string
  /** What we do about it, or what somebody must. */
  readonly remedy?: string
  /** Of a fault: the error that a call would end with. */
  readonly code?: QkdErrorCode
}

/** Findings, and what the answers had that tells makes of KMEs apart. */
export class KmeNotes {
  readonly findings: KmeFinding[] = []
  readonly traits = new Set<KmeTrait>()

  ok(check: KmeCheck, text: string): void {
    this.findings.push({ check, state: 'ok', text })
  }

  note(check: KmeCheck, text: string, remedy?: string): void {
    this.findings.push({ check, state: 'note', text, ...(remedy !== undefined && { remedy }) })
  }

  deviation(check: KmeCheck, text: string, remedy: string): void {
    this.findings.push({ check, state: 'deviation', text, remedy })
  }

  fault(check: KmeCheck, code: QkdErrorCode, text: string, remedy: string): void {
    this.findings.push({ check, state: 'fault', text, remedy, code })
  }
}

/** What a KME does otherwise than the standard, as far as it tells makes apart. */
export type KmeTrait =
  | 'any-spelling'
  | 'numeric-id'
  | 'site-names'
  | 'zero-counters'
  | 'small-default-size'
  | 'html-errors'
  | 'fastapi-errors'
  | 'not-found-404'
  | 'key-not-found-404'
  | 'key-not-found-503'
  | 'key-message-not-found'
  | 'no-post'
  | 'keys-object'
