import { UnauthorizedError } from '../errors.ts'
import type { AuditEntry } from '../interface/audit.ts'
import type { Logger } from '../interface/logger.ts'
import type { DrainTarget } from '../interface/network-controller.ts'
import type { OperatorAudit, OperatorCallName, OperatorIdentity, OperatorRole } from '../interface/operator.ts'
import { mayCall } from './permissions.ts'

/** What a guard goes by. */
export interface NetworkGuardOptions {
  /** Roles of those that connect, by the name of their certificate. */
  readonly rolesOf: (peerId: string) => readonly OperatorRole[]
  readonly audit: OperatorAudit | undefined
  readonly logger: Logger
  /** Said to a site that asks for what is not its own. */
  readonly ownAlone: string
}

/** A call of a network's controller. */
export interface NetworkCall {
  readonly name: OperatorCallName
  readonly target: DrainTarget | undefined
  /** A site asks about itself. */
  readonly isOwn: boolean
  readonly isRepeated: boolean
}

/**
 * Decides about the calls of a controller by role, and writes each down before it takes effect; of reads that a connection
 * repeats, the first alone. A site is the operator of itself and of its links.
 */
export function createNetworkGuard({ rolesOf, audit, logger, ownAlone }: NetworkGuardOptions) {
  return async (peerId: string, { name, target, isOwn, isRepeated }: NetworkCall): Promise<void> => {
    const own: readonly OperatorRole[] = isOwn ? ['operator'] : []
    const operator: OperatorIdentity = {
      name: peerId,
      roles: [...new Set([...rolesOf(peerId), ...own])],
      by: 'certificate',
    }
    const entry = { event: 'operator', operator, call: name, ...(target && { arguments: target }) } as const
    if (mayCall(name, operator.roles)) {
      if (target !== undefined || !isRepeated) await audit?.record({ ...entry, outcome: 'allowed' })
      return
    }
    const roles = operator.roles.length === 0 ? ownAlone : `may not: ${name} is not for ${operator.roles.join(', ')}`
    const error = new UnauthorizedError(`"${peerId}" ${roles}`)
    await note({ ...entry, outcome: error.code, reason: error.message })
    throw error
  }

  async function note(line: AuditEntry): Promise<void> {
    logger.warn({ call: line.call, operator: line.operator?.name }, 'operator call refused')
    await audit?.record(line).catch((error: Error) => {
      logger.error({ call: line.call, reason: error.message }, 'An operator call was not written to the audit log')
    })
  }
}
