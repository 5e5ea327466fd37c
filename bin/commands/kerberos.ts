import { defineGroup } from '../command.ts'
import { agentCommand } from './kerberos-agent.ts'
import { doctorCommand } from './kerberos-doctor.ts'
import { keytabCommands } from './kerberos-keytab.ts'
import { otpCommands } from './kerberos-otp.ts'
import { replicaCommand } from './kerberos-replica.ts'
import { trustCommands } from './kerberos-trust.ts'

/** `qkd kerberos`: realms and services of Kerberos under keys of the KME. */
export const kerberosCommands = defineGroup('kerberos', 'Key Kerberos realms and services from the KME', [
  agentCommand,
  replicaCommand,
  trustCommands,
  keytabCommands,
  otpCommands,
  doctorCommand,
])
