import type { OperatorCallName, OperatorRole } from '../interface/operator.ts'

/** Who may make a call, and whether it changes anything. */
export interface Permission {
  readonly roles: readonly OperatorRole[]
  readonly changes: boolean
  /** What it does, for the table in the docs. */
  readonly does: string
}

const EVERYBODY: readonly OperatorRole[] = ['operator', 'auditor', 'enroller', 'security-officer']

/** The whole of who may do what: every call of an operator is here, and nothing else decides. */
export const permissions: Readonly<Record<OperatorCallName, Permission>> = {
  status: { roles: EVERYBODY, changes: false, does: 'Pools, links, alarms and gauges of a site' },
  'alarm-list': { roles: EVERYBODY, changes: false, does: 'Alarms with state and history' },
  'alarm-acknowledge': { roles: ['operator', 'security-officer'], changes: true, does: 'Say that an alarm is seen to' },
  'policy-reload': { roles: ['security-officer'], changes: true, does: 'Take the policy from its file now' },
  'secrets-refresh': {
    roles: ['operator', 'security-officer'],
    changes: true,
    does: 'Refresh the secrets with other sites',
  },
  'store-rekey': { roles: ['security-officer'], changes: true, does: 'Change the key encryption key of the store' },
  'sae-list': { roles: EVERYBODY, changes: false, does: 'Hosts that the site knows' },
  'audit-head': {
    roles: ['auditor', 'security-officer'],
    changes: false,
    does: 'Number and hash of the last audit line',
  },
  'incident-hold': { roles: ['security-officer'], changes: true, does: 'Hold keys: neither issued nor delivered' },
  'incident-invalidate': { roles: ['security-officer'], changes: true, does: 'Destroy keys that are held' },
  'incident-release': { roles: ['security-officer'], changes: true, does: 'Give held keys free again' },
  'incident-list': { roles: ['auditor', 'security-officer'], changes: false, does: 'Incidents that are open' },
  'incident-report': { roles: ['auditor', 'security-officer'], changes: false, does: 'Which keys an incident touches' },
  console: { roles: EVERYBODY, changes: false, does: 'Read the console' },
  'network-status': { roles: EVERYBODY, changes: false, does: 'Sites, links, pairs and the plan of a network' },
  'network-drain': {
    roles: ['operator', 'security-officer'],
    changes: true,
    does: 'Take a link or site out of the plans',
  },
  'network-restore': { roles: ['operator', 'security-officer'], changes: true, does: 'Take it back into the plans' },
}

/** True where one of the roles may make the call; false too for a call that there is not. */
export function mayCall(name: string, roles: readonly OperatorRole[]): name is OperatorCallName {
  if (!Object.hasOwn(permissions, name)) return false
  return permissions[name as OperatorCallName].roles.some(role => roles.includes(role))
}
