import {
  createOtpServer,
  createOtpVerifier,
  drawOneTimePassword,
  parsePrincipal,
} from '../../integrations/kerberos/index.ts'
import { defineCommand, defineGroup, usageError } from '../command.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { stderrLogger } from '../stderr-logger.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

const drawCommand = defineCommand({
  command: 'draw <principal>',
  describe: 'Print a password for one login by kinit -T, made of a fresh key',
  builder: yargs =>
    withKmeOptions(yargs)
      .positional('principal', { type: 'string', demandOption: true, describe: 'Who logs in, as bob@A.EXAMPLE' })
      .option('peer', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'SAE ID of the host of the KDC',
      })
      .example(
        '$0 kerberos otp draw bob@A.EXAMPLE --peer kdc --config bob.json | kinit -T armor.ccache bob@A.EXAMPLE',
        'armor.ccache: a ticket of the workstation, by kinit -k -c armor.ccache',
      ),
  handler: async args => {
    const { principal, peer: peerSaeId, timeoutMs } = args
    const password = await withKms(args, kms => drawOneTimePassword(kms, { principal, peerSaeId, timeoutMs }))
    await (args.json ? printJson({ principal, password }) : printLines(password))
  },
})

const serveCommand = defineCommand({
  command: 'serve',
  describe: 'Check such passwords for the KDC of this machine, as its RADIUS server, until SIGTERM or Ctrl-C',
  repeatable: ['user'],
  builder: yargs =>
    withKmeOptions(yargs)
      .option('socket', {
        type: 'string',
        default: '/run/qkd/radius.sock',
        requiresArg: true,
        describe: 'Unix socket, "server" in [otp] of kdc.conf',
      })
      .option('user', {
        type: 'string',
        array: true,
        demandOption: true,
        requiresArg: true,
        describe: 'Who may log in, and by the keys of which SAE, as bob@A.EXAMPLE=bob; once for each',
      })
      .example('$0 kerberos otp serve --user bob@A.EXAMPLE=bob --config kdc.json', 'beside the KDC, as its user'),
  handler: async args => {
    const users = new Map(args.user.map(parseUser))
    // Asked for before anything is open, so that a signal during the start is not lost.
    const stopped = stopSignal()
    const { socket: socketPath, json } = args
    await withKms(args, async kms => {
      const verify = createOtpVerifier(kms, { saeOf: principal => users.get(principal) })
      await using server = createOtpServer({ socketPath, verify, logger: stderrLogger({ json }) })
      await server.listen()
      await (json
        ? printJson({ ready: true, socket: socketPath, users: users.size, pid: process.pid })
        : printLines(`${kms.saeId} checks one-time passwords of ${users.size} users at ${socketPath}`))
      await stopped
    })
  },
})

/** `qkd kerberos otp`: logins by one-time keys. */
export const otpCommands = defineGroup('kerberos otp', 'Log users in by one-time keys (FAST OTP)', [
  drawCommand,
  serveCommand,
])

function parseUser(text: string): [principal: string, saeId: string] {
  const [principal = '', saeId = '', ...more] = text.split('=')
  if (saeId === '' || more.length > 0) throw usageError(`--user ${text}: give PRINCIPAL=SAE, as bob@A.EXAMPLE=bob`)
  parsePrincipal(principal)
  return [principal, saeId]
}
