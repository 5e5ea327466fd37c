import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { type AuditLine, FIRST_LINK, linkOf, parseLine } from './audit-line.ts'

/** What an audit log turns out to be. */
export interface AuditVerdict {
  readonly ok: boolean
  /** Lines that follow each other from the first on. */
  readonly lines: number
  /** Hash of the last of them: compare it with what was kept elsewhere, to see whether the end is missing. */
  readonly link: string
  readonly fault: { readonly line: number; readonly message: string } | undefined
}

/** Options of `verifyAudit`. */
export interface VerifyAuditOptions extends AbortOptions {
  /** Called with each line that follows from the one before. */
  readonly onLine?: (line: AuditLine) => void
  /** Asked after that: what else is wrong with the line, so that it is the first bad one. Default nothing is. */
  readonly stopAt?: () => string | undefined
}

/** The lines of an audit log from first to last, checked: ends with the first that does not follow from the one before. */
export async function verifyAudit(
  path: string,
  { onLine, stopAt, signal }: VerifyAuditOptions = {},
): Promise<AuditVerdict> {
  let lines = 0
  let link = FIRST_LINK
  const input = createReadStream(path, { encoding: 'utf8', ...(signal && { signal }) })
  for await (const text of createInterface({ input, crlfDelay: 0 })) {
    const line = parseLine(text)
    let message = typeof line === 'string' ? line : faultOf(line, lines + 1, link)
    if (message === undefined) {
      onLine?.(line as AuditLine)
      message = stopAt?.()
    }
    if (message !== undefined) {
      input.destroy()
      return { ok: false, lines, link, fault: { line: lines + 1, message } }
    }
    lines += 1
    link = linkOf(text)
  }
  return { ok: true, lines, link, fault: undefined }
}

function faultOf(line: AuditLine, number: number, link: string): string | undefined {
  if (line.n !== number) return `numbered ${line.n} where ${number} is due: lines are missing or were added`
  return line.follows === link ? undefined : 'does not follow from the line before, which was changed or exchanged'
}
