import { callAgent } from '../../integrations/strongswan/index.ts'
import { defineCommand } from '../command.ts'
import { agentSocket, withAgentSocket } from '../ipsec-agent-socket.ts'
import { printJson, printLines, sayIfLong } from '../terminal.ts'

/** `qkd ipsec rotate`: a new key now. */
export const ipsecRotateCommand = defineCommand({
  command: 'rotate [connection]',
  describe: 'Bring a new key into use now, on one connection or on all',
  builder: yargs =>
    withAgentSocket(yargs)
      .positional('connection', { type: 'string', describe: 'Name of the connection [default: all]' })
      .example('$0 ipsec rotate to-b', 'at either gateway; says the new key_ID'),
  handler: async ({ connection, json, ...args }) => {
    const path = await agentSocket(args)
    const what = connection === undefined ? 'every connection' : connection
    const status = await sayIfLong(`rotating ${what} …`, callAgent(path, { call: 'rotate', connection }))
    const rotated = status.connections.filter(({ name }) => connection === undefined || name === connection)
    const result = rotated.map(({ name, keyId, epoch }) => ({ connection: name, keyId, epoch }))
    if (json) await printJson({ rotated: result })
    else await printLines(...result.map(({ connection: name, keyId }) => `${name} is on key_ID ${keyId ?? 'none'}`))
  },
})

/** `qkd ipsec reconcile`: charon gets again what it lost. */
export const ipsecReconcileCommand = defineCommand({
  command: 'reconcile',
  describe: 'Compare charon with what it should have, now, and mend it',
  builder: yargs => withAgentSocket(yargs).example('$0 ipsec reconcile', 'after swanctl --load-all, without waiting'),
  handler: async ({ json, ...args }) => {
    const path = await agentSocket(args)
    const report = await sayIfLong('comparing …', callAgent(path, { call: 'reconcile' }))
    if (json) return await printJson(report)
    const { connections, unloaded } = report
    await printLines(
      connections.length === 0 ? 'charon has every connection' : `loaded again: ${connections.join(', ')}`,
      ...(unloaded.length === 0 ? [] : [`taken away, because nobody uses them: ${unloaded.join(', ')}`]),
    )
  },
})
