import { defineGroup } from '../command.ts'
import { tunnelCommand } from './tls-tunnel.ts'

/** `qkd tls`: TLS for programs that know nothing of it. */
export const tlsCommands = defineGroup('tls', 'Carry connections in TLS under keys of the KME', [tunnelCommand])
