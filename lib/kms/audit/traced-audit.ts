import type { AuditEntry, AuditLog } from '../../interface/audit.ts'
import type { Tracer } from '../../interface/tracer.ts'

/** What stands between a request and its keys; all else is written when it comes. */
const OF_REQUESTS: ReadonlySet<AuditEntry['event']> = new Set(['issue', 'share', 'deliver'])

/** The log, its entries about keys each a part of the request that asked for them. Closed with the log. */
export function traceAudit(log: AuditLog, tracer: Tracer): AuditLog {
  return {
    record: entry => {
      const { event } = entry
      if (!OF_REQUESTS.has(event)) return log.record(entry)
      return tracer.span('audit', { 'qkd.event': event }, () => log.record(entry))
    },
    close: options => log.close(options),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  }
}
