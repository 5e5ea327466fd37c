import { hash } from 'node:crypto'
import type { AuditEntry } from '../../interface/audit.ts'

/** What stands before the first line: the hash that it follows. */
export const FIRST_LINK = '0'.repeat(64)

/** Longer lines are refused: no entry has so many key_IDs. */
export const MAX_LINE_BYTES = 65_536

/** A line as it stands in the file. */
export interface AuditLine extends AuditEntry {
  /** 1 for the first line, and one more for each that follows. */
  readonly n: number
  /** When, by the clock of the machine, as ISO 8601 in UTC. */
  readonly at: string
  readonly siteId: string
  /** SHA-256 of the line before, in hex: no line can be changed, added or left out but at the end. */
  readonly follows: string
}

/** The line as text, without its end: what it says between where it stands and what it follows. */
export function formatLine(entry: AuditEntry, { n, at, siteId, follows }: Omit<AuditLine, keyof AuditEntry>): string {
  const where = `{"n":${n},"at":"${at}","siteId":${JSON.stringify(siteId)},`
  return `${where}${JSON.stringify(entry).slice(1, -1)},"follows":"${follows}"}`
}

/** What the next line will follow. */
export function linkOf(line: string): string {
  return hash('sha256', line)
}

/** The line of a text, or why it is none. */
export function parseLine(text: string): AuditLine | string {
  if (text.length > MAX_LINE_BYTES) return `longer than ${MAX_LINE_BYTES} bytes`
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'not JSON'
  }
  const line = value as Partial<AuditLine> | null
  const isLine =
    typeof line === 'object' &&
    line !== null &&
    Number.isSafeInteger(line.n) &&
    typeof line.at === 'string' &&
    typeof line.event === 'string' &&
    typeof line.follows === 'string'
  return isLine ? (line as AuditLine) : 'not a line of an audit log'
}
