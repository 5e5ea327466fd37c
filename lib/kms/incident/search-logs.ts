import { ConfigError } from '../../errors.ts'
import type { IncidentSelector } from '../../interface/incident.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import { verifyAudit } from '../audit/verify-audit.ts'
import { type BlastRadius, BlastRadiusSearch } from './blast-radius.ts'
import { checkSelector } from './selector.ts'

/**
 * How far an incident reaches, by these audit logs: those of one site or of several. Each is verified on the way.
 * @throws {InvalidArgumentError} the selector names nothing, or something that can't be
 * @throws {ConfigError} a log can't be read, or a line of it does not follow from the one before
 */
export async function searchAuditLogs(
  paths: readonly string[],
  selector: IncidentSelector,
  { signal }: AbortOptions = {},
): Promise<BlastRadius> {
  const search = new BlastRadiusSearch(checkSelector(selector))
  for (const path of paths) {
    const { fault } = await verified(path, { signal, search })
    if (fault !== undefined)
      throw new ConfigError(`${path}:${fault.line}: ${fault.message}; what the log says can't be relied on`, {
        details: [{ file: path, ...fault }],
      })
  }
  return search.result()
}

async function verified(path: string, { signal, search }: AbortOptions & { search: BlastRadiusSearch }) {
  try {
    return await verifyAudit(path, { onLine: line => search.add(line), ...(signal && { signal }) })
  } catch (cause) {
    signal?.throwIfAborted()
    throw new ConfigError(`${path}: can't be read (${(cause as Error).message})`, { cause })
  }
}
