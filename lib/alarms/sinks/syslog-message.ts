import type { AlarmNotice } from '../../interface/alarm.ts'
import type { AlarmSeverity } from '../../interface/telemetry.ts'

/** Severities of RFC 5424, 6.2.1. What is over or seen to is a notice. */
const SEVERITY: Readonly<Record<AlarmSeverity, number>> = { critical: 2, major: 3, minor: 4, warning: 4 }
const NOTICE = 5
/** The enterprise number for documentation (RFC 5612): this project has none of its own. */
const SD_ID = 'qkdAlarm@32473'
/** What every receiver takes over TLS (RFC 5425, 4.3.1), and should over UDP (RFC 5426, 3.2), in bytes. */
const MAX_BYTES = 2_048

/** What stands in the header besides the notice. */
export interface SyslogHeader {
  /** 0 to 23. */
  readonly facility: number
  readonly hostname: string
  readonly procId: number
}

/** A notice as a message of RFC 5424, at most 2,048 bytes: the text is cut where it would be longer. */
export function syslogMessage(notice: AlarmNotice, { facility, hostname, procId }: SyslogHeader): Buffer {
  const severity = notice.state === 'active' ? SEVERITY[notice.severity] : NOTICE
  const header = [
    `<${facility * 8 + severity}>1`,
    new Date(notice.changedAtMs).toISOString(),
    printable(hostname, 255),
    'qkd',
    String(procId),
    'alarm',
  ].join(' ')
  const params = {
    site: notice.siteId,
    id: notice.id,
    severity: notice.severity,
    state: notice.state,
    raised: new Date(notice.raisedAtMs).toISOString(),
    times: String(notice.times),
    ...(notice.acknowledged && { by: notice.acknowledged.by }),
  }
  const data = Object.entries(params).map(([name, value]) => `${name}="${escapeParam(value)}"`)
  const start = Buffer.from(`${header} [${SD_ID} ${data.join(' ')}] \ufeff`)
  return Buffer.concat([start, utf8Head(oneLine(notice.text), Math.max(0, MAX_BYTES - start.byteLength))])
}

/** PRINTUSASCII of RFC 5424, 6: a name, or `-` for none. */
function printable(text: string, most: number): string {
  const kept = text.replaceAll(/[^\x21-\x7e]/g, '').slice(0, most)
  return kept === '' ? '-' : kept
}

/** RFC 5424, 6.3.3. IDs come from layers; no line of a receiver's file may end in one. */
function escapeParam(value: string): string {
  return oneLine(value.slice(0, 256)).replaceAll(/["\\\]]/g, '\\$&')
}

function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must go.
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
}

/** The first bytes of a text, whole characters only. */
function utf8Head(text: string, mostBytes: number): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.byteLength <= mostBytes) return bytes
  let end = mostBytes
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1
  return bytes.subarray(0, end)
}
