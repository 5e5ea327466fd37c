import { importConnection, loadIpsecAgentConfig, pairSnippet } from '../../integrations/strongswan/index.ts'
import { InvalidArgumentError } from '../../lib/index.ts'
import { defineCommand, usageError } from '../command.ts'
import { print, printJson } from '../terminal.ts'

const ROLES = ['initiator', 'responder'] as const

/** `qkd ipsec config`: between the agent's configuration and swanctl.conf, both ways. */
export const ipsecConfigCommand = defineCommand({
  command: 'config',
  describe:
    'Print what the agent loads as swanctl.conf, for both gateways; or make its configuration of a swanctl.conf',
  builder: yargs =>
    yargs
      .option('config', {
        type: 'string',
        requiresArg: true,
        describe: "The agent's configuration: prints swanctl.conf",
      })
      .option('from', { type: 'string', requiresArg: true, describe: 'A swanctl.conf that works: prints JSON' })
      .option('connection', { type: 'string', requiresArg: true, describe: 'One connection alone' })
      .option('peer', {
        type: 'string',
        requiresArg: true,
        describe: 'With --from: SAE ID of the host at the other gateway',
      })
      .option('role', { choices: ROLES, describe: 'With --from: which end this gateway is' })
      .conflicts('config', 'from')
      .example('$0 ipsec config --config ipsec.json', 'the connections at both ends, to read and to compare')
      .example(
        '$0 ipsec config --from /etc/swanctl/swanctl.conf --connection net --peer bob --role initiator',
        'an entry for "connections"',
      ),
  handler: async ({ config, from, connection, peer, role, json }) => {
    if (from !== undefined) {
      if (peer === undefined || role === undefined) throw usageError('--from needs --peer and --role')
      const imported = await importConnection(from, { connection, peer, role })
      return await (json ? printJson(imported) : print(`${JSON.stringify(imported, undefined, 2)}\n`))
    }
    if (config === undefined) throw usageError('Give --config ipsec.json or --from swanctl.conf')
    if (peer !== undefined || role !== undefined) throw usageError('--peer and --role belong to --from')
    await printSnippets(config, { connection, json })
  },
})

async function printSnippets(path: string, { connection: only, json }: { connection?: string; json: boolean }) {
  const { connections } = await loadIpsecAgentConfig(path)
  const chosen = connections.filter(({ name }) => only === undefined || name === only)
  if (chosen.length === 0) {
    const names = connections.map(({ name }) => name).join(', ')
    throw new InvalidArgumentError(`There is no connection "${only}"; there is: ${names}`)
  }
  const snippets = chosen.map(connection => ({ connection, ...pairSnippet(connection) }))
  if (json) return await printJson(snippets.map(({ connection: { name }, ...pair }) => ({ connection: name, ...pair })))
  const texts = snippets.map(({ connection: { name, local, remote }, ...pair }) => {
    return `# ${name}, at ${local.id}\n${pair.local}\n# ${name}, at ${remote.id}\n${pair.remote}`
  })
  await print(texts.join('\n'))
}
