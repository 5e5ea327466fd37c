import { defineGroup } from '../command.ts'
import { ipsecAgentCommand } from './ipsec-agent.ts'
import { ipsecConfigCommand } from './ipsec-config.ts'
import { ipsecDoctorCommand } from './ipsec-doctor.ts'
import { ipsecHookCommands } from './ipsec-hook.ts'
import { ipsecPskCommand } from './ipsec-psk.ts'
import { ipsecReconcileCommand, ipsecRotateCommand } from './ipsec-rotate.ts'
import { ipsecStatusCommand } from './ipsec-status.ts'

/** `qkd ipsec`: strongSwan gateways on keys of the KME. */
export const ipsecCommands = defineGroup('ipsec', 'Keep strongSwan gateways on keys of the KME', [
  ipsecAgentCommand,
  ipsecStatusCommand,
  ipsecRotateCommand,
  ipsecReconcileCommand,
  ipsecDoctorCommand,
  ipsecConfigCommand,
  ipsecPskCommand,
  ipsecHookCommands,
])
