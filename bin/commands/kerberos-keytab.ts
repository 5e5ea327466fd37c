import {
  checkKerberosConfig,
  configuredDatabase,
  type KerberosConfig,
  type KeytabEntry,
  loadKerberosConfig,
  loadKeytab,
  parsePrincipal,
  replaceKeytab,
} from '../../integrations/kerberos/index.ts'
import { ConfigError, InvalidArgumentError } from '../../lib/index.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { parseHostPort } from '../host-port.ts'
import { requireKdc, withKerberosFile } from '../kerberos-file.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { printJson, printLines } from '../terminal.ts'
import { runAgent } from './kerberos-agent.ts'

const exportCommand = defineCommand({
  command: 'export <principal>',
  describe: 'Write the keys that the KDC has for a principal into a keytab, as kadmin ktadd -norandkey does',
  builder: yargs =>
    withKerberosFile(yargs)
      .positional('principal', { type: 'string', demandOption: true, describe: 'As HTTP/host.example@REALM' })
      .option('keytab', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'File to write, mode 0600; what it has of other principals stays',
      })
      .example('$0 kerberos keytab export HTTP/web.b.example@B.EXAMPLE --keytab http.keytab', 'on the KDC'),
  handler: async args => {
    const { principal, keytab } = args
    parsePrincipal(principal)
    const config = await loadKerberosConfig(args.kerberos)
    const versions = await configuredDatabase(requireKdc(config, args.kerberos)).keys(principal)
    const timestamp = Math.floor(Date.now() / 1000)
    const fresh: KeytabEntry[] = versions.flatMap(({ kvno, keys }) =>
      keys.map(({ enctype, secret }) => ({ principal, timestamp, kvno, enctype, secret })),
    )
    const before = await loadKeytab(keytab)
    try {
      if (fresh.length === 0) throw new InvalidArgumentError(`The KDC has no key of ${principal}`)
      await replaceKeytab(keytab, [...before.filter(entry => entry.principal !== principal), ...fresh])
    } finally {
      for (const { secret } of [...before, ...fresh]) secret.wipe()
    }
    const kvnos = versions.map(({ kvno }) => kvno)
    await (args.json
      ? printJson({ principal, keytab, kvnos })
      : printLines(`${keytab}: ${principal}, kvno ${kvnos.join(', ')}`))
  },
})

const syncCommand = defineCommand({
  command: 'sync <principal>',
  describe:
    'On the host of a service: keep a keytab with the present, the coming and the still good kvnos, until SIGTERM',
  builder: yargs =>
    withKmeOptions(yargs)
      .positional('principal', { type: 'string', demandOption: true, describe: 'As HTTP/host.example@REALM' })
      .option('keytab', {
        type: 'string',
        default: '/etc/krb5.keytab',
        requiresArg: true,
        describe: 'The keytab to keep',
      })
      .option('peer', { type: 'string', demandOption: true, requiresArg: true, describe: 'SAE ID of the KDC’s agent' })
      .option('listen', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Where it connects, host:port',
      })
      .option('ticket-life', { type: 'number', default: 36_000, describe: 'As at the KDC’s agent, in seconds' })
      .option('state', {
        type: 'string',
        default: '/var/lib/qkd/keytab.json',
        requiresArg: true,
        describe: 'Where to note which kvno is which key_ID; holds no keys',
      })
      .option('control', {
        type: 'string',
        default: '/run/qkd/keytab.sock',
        requiresArg: true,
        describe: 'Unix socket for qkd kerberos trust status',
      })
      .example(
        '$0 kerberos keytab sync HTTP/web.b.example@B.EXAMPLE --peer kdc-b --listen 0.0.0.0:7189 --config web.json',
        'for an unmodified sshd, nginx or Apache',
      ),
  handler: args =>
    withKms(args, kms => {
      const { principal, peer, keytab, timeoutMs, ticketLife } = args
      const config: KerberosConfig = {
        mode: 'setup',
        keytab,
        stateFile: args.state,
        controlSocket: args.control,
        listen: parseHostPort('listen', args.listen),
        peers: [{ saeId: peer }],
        principals: [
          {
            principal,
            role: 'acceptor',
            peer,
            enctypes: ['aes256-cts-hmac-sha384-192', 'aes256-cts-hmac-sha1-96'],
            ticketLifeSeconds: ticketLife,
            skewSeconds: 300,
            rotateSeconds: 600,
            window: 1,
          },
        ],
        timeoutMs,
      }
      const [fault] = checkKerberosConfig(config)
      if (fault !== undefined) throw new ConfigError(fault.message)
      return runAgent(kms, config, args)
    }),
})

/** `qkd kerberos keytab`: keytabs of services. */
export const keytabCommands = defineGroup('kerberos keytab', 'Keytabs of services under keys of the KME', [
  exportCommand,
  syncCommand,
])
