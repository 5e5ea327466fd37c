import {
  type AgentStatus,
  addPoolPrincipal,
  askAgent,
  type ConfiguredPrincipal,
  configuredDatabase,
  deletePrincipal,
  type Enctype,
  enctypeNames,
  enctypeProfile,
  type KerberosConfig,
  loadKerberosConfig,
  MAX_KVNO,
  type PrincipalStatus,
  parsePrincipal,
  setPoolLives,
  setString,
  stringToKey,
  trustPrincipal,
  type VersionStatus,
} from '../../integrations/kerberos/index.ts'
import { InvalidArgumentError } from '../../lib/index.ts'
import { defineCommand, defineGroup, usageError } from '../command.ts'
import { parseHostPort } from '../host-port.ts'
import {
  agentRuns,
  kadminLocation,
  readRawFile,
  requireKdc,
  withKerberosFile,
  writeKerberosFile,
} from '../kerberos-file.ts'
import { readPassword } from '../password.ts'
import { printJson, printLines } from '../terminal.ts'

const DIRECTIONS = ['both', 'out', 'in'] as const

const addCommand = defineCommand({
  command: 'add',
  repeatable: ['enctype'],
  describe: 'Key the trust with another realm from the pool: principals in the KDC, and a place in the agent’s file',
  builder: yargs =>
    withKerberosFile(yargs)
      .option('realm', { type: 'string', requiresArg: true, describe: 'Realm of this KDC; needed for a new file' })
      .option('remote', { type: 'string', demandOption: true, requiresArg: true, describe: 'The other realm' })
      .option('peer', { type: 'string', demandOption: true, requiresArg: true, describe: 'SAE ID of its agent' })
      .option('connect', { type: 'string', requiresArg: true, describe: 'Where its agent listens, host:port' })
      .option('listen', { type: 'string', requiresArg: true, describe: 'Where this agent listens, host:port' })
      .option('direction', {
        choices: DIRECTIONS,
        default: 'both' as const,
        describe: 'out: clients of this realm reach services there; in: the reverse',
      })
      .option('ticket-life', {
        type: 'number',
        default: 36_000,
        describe: 'Longest life of a cross-realm ticket, in seconds',
      })
      .option('rotate', { type: 'number', default: 600, describe: 'How often a new key comes, in seconds' })
      .option('enctype', {
        type: 'string',
        array: true,
        requiresArg: true,
        choices: enctypeNames,
        default: [enctypeNames[0]!],
        describe: 'Encryption type of the keys; may be given several times',
      })
      .option('mode', { choices: ['setup', 'plugin'] as const, describe: 'For a new file [default: setup]' })
      .option('database', { type: 'string', requiresArg: true, describe: 'For a new file: database_name of kdc.conf' })
      .option('stash-file', {
        type: 'string',
        requiresArg: true,
        describe: 'For a new file: key_stash_file of kdc.conf',
      })
      .option('krb5-conf', { type: 'string', requiresArg: true, describe: 'For a new file: another krb5.conf' })
      .option('kdc-conf', { type: 'string', requiresArg: true, describe: 'For a new file: another kdc.conf' })
      .example(
        '$0 kerberos trust add --realm A.EXAMPLE --remote B.EXAMPLE --peer bob --connect kdc.b.example:7188 --listen 0.0.0.0:7188',
        'at KDC A; the mirror image at KDC B',
      ),
  handler: async args => {
    const path = args.kerberos
    const raw = (await readRawFile(path)) ?? newFile(args)
    const realm = (raw.kdc as { realm?: string } | undefined)?.realm
    if (realm === undefined) throw usageError(`${path} has no KDC: give --realm for a new file`)
    if (args.realm !== undefined && args.realm !== realm) throw usageError(`${path} is the file of ${realm}`)
    const added = trustPrincipals(realm, args)
    const config = await writeKerberosFile(path, withTrust(raw, added, args))
    const location = kadminLocation(requireKdc(config, path))
    const database = configuredDatabase(requireKdc(config, path))
    const settings = { maxLifeSeconds: args.ticketLife }
    for (const { principal } of added) {
      const known = (await database.state(principal)) !== undefined
      await (known ? setPoolLives : addPoolPrincipal)(location, principal, settings)
      if (config.mode === 'plugin') await setString(location, principal, { name: 'qkd', value: 'epoch' })
    }
    const names = added.map(({ principal, role }) => ({ principal, role }))
    const next = (await agentRuns(config))
      ? 'start the agent again (systemctl restart qkd-kerberos)'
      : 'start the agent (systemctl start qkd-kerberos)'
    await (args.json
      ? printJson({ added: names, file: path })
      : printLines(
          ...names.map(({ principal, role }) => `${principal}: this site is its ${role}`),
          `written to ${path}; the same at the other site, then ${next}`,
        ))
  },
})

interface AddArguments {
  readonly realm?: string
  readonly remote: string
  readonly peer: string
  readonly connect?: string
  readonly listen?: string
  readonly direction: (typeof DIRECTIONS)[number]
  readonly ticketLife: number
  readonly rotate: number
  readonly enctype: readonly string[]
  readonly mode?: 'setup' | 'plugin'
  readonly database?: string
  readonly stashFile?: string
  readonly krb5Conf?: string
  readonly kdcConf?: string
}

function newFile({
  realm,
  mode = 'setup',
  database,
  stashFile,
  krb5Conf,
  kdcConf,
}: AddArguments): Record<string, unknown> {
  if (realm === undefined) throw usageError('Give --realm, the realm of this KDC: there is no file of an agent yet')
  return { mode, kdc: { realm, database, stashFile, krb5Conf, kdcConf }, peers: [], principals: [] }
}

function trustPrincipals(
  realm: string,
  args: AddArguments,
): Partial<ConfiguredPrincipal>[] & { principal: string; role: string }[] {
  const { remote, peer, direction, ticketLife, rotate, enctype } = args
  if (remote === realm) throw usageError('--remote is the realm of this KDC itself')
  if (direction !== 'in' && args.connect === undefined) throw usageError('--connect: say where the other agent listens')
  const terms = { peer, enctypes: enctype, ticketLifeSeconds: ticketLife }
  const out = {
    principal: trustPrincipal({ from: realm, to: remote }),
    role: 'issuer' as const,
    ...terms,
    rotateSeconds: rotate,
  }
  const into = { principal: trustPrincipal({ from: remote, to: realm }), role: 'acceptor' as const, ...terms }
  return [...(direction === 'in' ? [] : [out]), ...(direction === 'out' ? [] : [into])]
}

/** The file with the trust in it, in place of what it had on the same principals. */
function withTrust(
  raw: Record<string, unknown>,
  added: readonly { principal: string }[],
  { peer, connect, listen }: AddArguments,
): Record<string, unknown> {
  const others = ((raw.principals ?? []) as { principal: string }[]).filter(
    ({ principal }) => !added.some(each => each.principal === principal),
  )
  const peers = (raw.peers ?? []) as { saeId: string }[]
  const before = peers.find(({ saeId }) => saeId === peer)
  const reached = { ...before, saeId: peer, ...(connect === undefined ? {} : parseHostPort('connect', connect)) }
  return {
    ...raw,
    listen: listen === undefined ? (raw.listen ?? {}) : parseHostPort('listen', listen),
    peers: [...peers.filter(({ saeId }) => saeId !== peer), reached],
    principals: [...others, ...added],
  }
}

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

const removeCommand = defineCommand({
  command: 'remove <remote>',
  describe: 'Take the trust out of the pool again: back to a password, read from standard input, or to none',
  builder: yargs =>
    withKerberosFile(yargs)
      .positional('remote', { type: 'string', demandOption: true, describe: 'The other realm' })
      .option('delete', { type: 'boolean', default: false, describe: 'Delete the principals instead' })
      .option('kvno', {
        type: 'number',
        describe: 'kvno of the password, the same at both sites [default: one above the highest here]',
      })
      .example('$0 kerberos trust remove B.EXAMPLE < password.txt', 'at both sites, with the same password and kvno'),
  handler: async args => {
    const path = args.kerberos
    const config = await loadKerberosConfig(path)
    const kdc = requireKdc(config, path)
    const { remote } = args
    const names = [
      trustPrincipal({ from: kdc.realm, to: remote }),
      trustPrincipal({ from: remote, to: kdc.realm }),
    ].filter(name => config.principals.some(({ principal }) => principal === name))
    if (names.length === 0) throw new InvalidArgumentError(`${path} has no trust with ${remote}`)
    const password = args.delete ? undefined : await readPassword(`Password of the trust with ${remote}`)
    const raw = (await readRawFile(path))!
    const runs = await agentRuns(config)
    const results: { principal: string; kvno: number | null }[] = []
    for (const principal of names) {
      if (runs) await askAgent(config.controlSocket, { command: 'forget', principal })
      const location = kadminLocation(kdc)
      if (password === undefined) await deletePrincipal(location, principal)
      else if (config.mode === 'plugin') await setString(location, principal, { name: 'qkd', value: '' })
      const kvno = password === undefined ? null : await setPassword(config, principal, { password, kvno: args.kvno })
      results.push({ principal, kvno })
    }
    const rest = (raw.principals as { principal: string }[]).filter(({ principal }) => !names.includes(principal))
    await writeKerberosFile(path, { ...raw, principals: rest })
    await (args.json
      ? printJson({ removed: results })
      : printLines(
          ...results.map(({ principal, kvno }) =>
            kvno === null
              ? `${principal}: deleted`
              : `${principal}: keyed from the password, kvno ${kvno}; the other site must say the same`,
          ),
        ))
  },
})

/** Sets the key that the password makes with the default salt, at a kvno that both sites can have; older keys stay. */
async function setPassword(
  config: KerberosConfig,
  principal: string,
  { password, kvno }: { password: string; kvno: number | undefined },
): Promise<number> {
  const { components, realm } = parsePrincipal(principal)
  const salt = `${realm}${components.join('')}`
  const { enctypes } = config.principals.find(each => each.principal === principal)!
  const keys = enctypes.map(name => stringToKey(enctypeProfile(name).enctype as Enctype, password, { salt }))
  try {
    let used = 0
    await configuredDatabase(config.kdc!).setVersions(principal, present => {
      used = kvno ?? Math.max(0, ...present) + 1
      if (!(Number.isInteger(used) && used >= 1 && used <= MAX_KVNO)) {
        throw new InvalidArgumentError(`--kvno must be an integer from 1 to ${MAX_KVNO}; above it there is none`)
      }
      const keep = present.filter(each => each < used)
      return { put: [{ kvno: used, keys }], keep }
    })
    return used
  } finally {
    for (const { secret } of keys) secret.wipe()
  }
}

/** `qkd kerberos trust`: trusts between realms under keys of the pool. */
export const trustCommands = defineGroup('kerberos trust', 'Trusts with other realms under keys of the KME', [
  addCommand,
  changeCommand('rotate', 'Bring a new key into use now'),
  changeCommand('rekey', 'Begin again at kvno 1, when kvnos have come to their end at 65535'),
  statusCommand,
  removeCommand,
])
