import { InvalidArgumentError } from '../../errors.ts'
import type { IncidentDesk, IncidentSelector, IncidentView } from '../../interface/incident.ts'
import type { OperatorCalls } from '../../interface/operator.ts'
import type { BlastRadius } from './blast-radius.ts'
import { searchAuditLogs } from './search-logs.ts'

const name = { type: 'string', minLength: 1, maxLength: 291 }
const timeMs = { type: 'number', minimum: 0 }
const id = { type: 'string', pattern: '^[0-9a-f-]{1,64}$', description: 'ID of an incident' }
const reason = { type: 'string', maxLength: 1_024, description: 'Why; it stands in the audit log of every site' }
const selector = {
  type: 'object',
  description: 'What the incident is about: keys that meet all that is named',
  additionalProperties: false,
  properties: {
    saePair: { type: 'array', items: name, minItems: 2, maxItems: 2 },
    pool: name,
    link: name,
    relay: name,
    sinceMs: timeMs,
    untilMs: timeMs,
  },
}

/** What `incident-report` gives. */
export interface IncidentReport extends BlastRadius {
  /** The incident itself, where one was asked about by its ID. */
  readonly incident?: IncidentView
}

/** The calls by which a security officer deals with incidents, and an auditor reads of them. */
export function registerIncidentCalls(
  calls: OperatorCalls,
  { desk, auditFile }: { readonly desk: IncidentDesk; readonly auditFile: string | undefined },
): void {
  calls.register<{ selector: IncidentSelector; reason?: string }>({
    name: 'incident-hold',
    schema: fields({ selector, reason }, ['selector']),
    run: ({ selector, reason }, { operator: { name: by }, signal }) =>
      desk.open({ selector, state: 'held', by, ...(reason !== undefined && { reason }) }, { signal }),
  })
  calls.register<{ id?: string; selector?: IncidentSelector; reason?: string }>({
    name: 'incident-invalidate',
    schema: fields({ id, selector, reason }, []),
    run: async ({ id, selector, reason }, { operator: { name: by }, signal }) => {
      if ((id === undefined) === (selector === undefined))
        throw new InvalidArgumentError('Name an incident by its ID, or what it is about, and not both')
      if (id !== undefined) return await desk.invalidate(id, { by, signal })
      const incident = { selector: selector!, state: 'invalidated' as const, by }
      return await desk.open({ ...incident, ...(reason !== undefined && { reason }) }, { signal })
    },
  })
  calls.register<{ id: string }>({
    name: 'incident-release',
    schema: fields({ id }, ['id']),
    run: ({ id }, { operator: { name: by }, signal }) => desk.release(id, { by, signal }),
  })
  calls.register({
    name: 'incident-list',
    schema: fields({}, []),
    run: async () => ({ incidents: desk.list() }),
  })
  calls.register<{ id?: string; selector?: IncidentSelector }>({
    name: 'incident-report',
    schema: fields({ id, selector }, []),
    run: async ({ id, selector }, { signal }): Promise<IncidentReport> => {
      if ((id === undefined) === (selector === undefined))
        throw new InvalidArgumentError('Name an incident by its ID, or what it is about, and not both')
      if (auditFile === undefined) throw new InvalidArgumentError('This site has no audit log to search')
      const incident = id === undefined ? undefined : desk.list().find(each => each.id === id)
      if (id !== undefined && incident === undefined)
        throw new InvalidArgumentError(`No incident ${id} is open here; name what it was about`)
      const radius = await searchAuditLogs([auditFile], incident?.selector ?? selector!, { signal })
      return { ...radius, ...(incident && { incident }) }
    },
  })
}

function fields(properties: Record<string, unknown>, required: readonly string[]): Record<string, unknown> {
  return { type: 'object', additionalProperties: false, properties, required: [...required] }
}
