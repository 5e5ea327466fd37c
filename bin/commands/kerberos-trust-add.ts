import {
  addPoolPrincipal,
  type ConfiguredPrincipal,
  configuredDatabase,
  enctypeNames,
  setPoolLives,
  setString,
  trustPrincipal,
} from '../../integrations/kerberos/index.ts'
import { defineCommand, usageError } from '../command.ts'
import { parseHostPort } from '../host-port.ts'
import {
  agentRuns,
  kadminLocation,
  readRawFile,
  requireKdc,
  withKerberosFile,
  writeKerberosFile,
} from '../kerberos-file.ts'
import { printJson, printLines } from '../terminal.ts'

const DIRECTIONS = ['both', 'out', 'in'] as const

/** `qkd kerberos trust add`: principals in the KDC, and a place in the agent's file. */
export const addCommand = defineCommand({
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
