import {
  type AgentStatus,
  askAgent,
  loadKerberosConfig,
  type PrincipalStatus,
  parsePrincipal,
  type VersionStatus,
} from '../../integrations/kerberos/index.ts'
import { InvalidArgumentError } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { withKerberosFile } from '../kerberos-file.ts'
import { printJson, printLines } from '../terminal.ts'
import { addCommand } from './kerberos-trust-add.ts'
import { removeCommand } from './kerberos-trust-remove.ts'

function changeCommand(command: 'rotate' | 'rekey', describe: string) {
  return defineCommand({
    command: `${command} [remote]`,
    describe,
    builder: yargs =>
      withKerberosFile(yargs)
        .positional('remote', {
          type: 'string',
          describe: 'The other realm; without it every trust that this KDC issues',
        })
        .option('principal', {
          type: 'string',
          requiresArg: true,
          describe: 'Another principal, such as that of a service',
        }),
    handler: async args => {
      const { controlSocket } = await loadKerberosConfig(args.kerberos)
      const status = await askAgent(controlSocket, { command: 'status' })
      const wanted = chosen(status, args)
      for (const principal of wanted) {
        const rotation = await askAgent(controlSocket, { command, principal })
        const { kvno, keyId } = rotation
        await (args.json ? printJson(rotation) : printLines(`${principal}: kvno ${kvno} is in use, key_ID ${keyId}`))
      }
    },
  })
}

/** The principals meant, all of which this agent must be the issuer of. */
function chosen({ principals }: AgentStatus, { remote, principal }: { remote?: string; principal?: string }): string[] {
  const issued = principals.filter(({ role }) => role === 'issuer').map(each => each.principal)
  const wanted = issued.filter(name => {
    const { components } = parsePrincipal(name)
    if (principal !== undefined) return name === principal
    return components[0] === 'krbtgt' && (remote === undefined || components[1] === remote)
  })
  if (wanted.length > 0) return wanted
  const what = principal ?? (remote === undefined ? 'any trust' : `a trust with ${remote}`)
  throw new InvalidArgumentError(`This agent is not the issuer of ${what}; it is of: ${issued.join(', ') || 'nothing'}`)
}

const statusCommand = defineCommand({
  command: 'status',
  describe: 'Show which kvno of every principal is in use, announced and still good, and what is wrong',
  builder: yargs => withKerberosFile(yargs),
  handler: async args => {
    const { controlSocket } = await loadKerberosConfig(args.kerberos)
    const status = await askAgent(controlSocket, { command: 'status' })
    if (args.json) return await printJson(status)
    const lines = status.principals.flatMap(describePrincipal)
    await printLines(`agent of ${status.saeId}, ${status.principals.length} principals`, ...lines)
  },
})

function describePrincipal(each: PrincipalStatus): string[] {
  const { principal, role, peerSaeId, current, announced, retained, foreignKvnos, nextRotation, failure } = each
  const row = (name: string, text: string) => `  ${name.padEnd(10)} ${text}`
  const version = ({ kvno, keyId, since, ends }: VersionStatus) =>
    `kvno ${kvno}  ${keyId}  ${ends === undefined ? `since ${since}` : `until ${ends}`}`
  return [
    '',
    `${principal}  (${role}, with ${peerSaeId})`,
    row('in use', current === null ? 'none yet: the KDC refuses' : version(current)),
    ...announced.map(each => row('announced', version(each))),
    ...retained.map(each => row('still good', version(each))),
    ...(foreignKvnos.length === 0 ? [] : [row('from before', `kvno ${foreignKvnos.join(', ')}`)]),
    ...(nextRotation === null ? [] : [row('next', nextRotation)]),
    ...(failure === null ? [] : [row('failed', failure)]),
    ...(each.rekeyAdvised ? [row('alarm', 'kvnos come to their end at 65535: qkd kerberos trust rekey')] : []),
  ]
}

/** `qkd kerberos trust`: trusts between realms under keys of the pool. */
export const trustCommands = defineGroup('kerberos trust', 'Trusts with other realms under keys of the KME', [
  addCommand,
  changeCommand('rotate', 'Bring a new key into use now'),
  changeCommand('rekey', 'Begin again at kvno 1, when kvnos have come to their end at 65535'),
  statusCommand,
  removeCommand,
])
