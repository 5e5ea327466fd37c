import { type KerberosConfig, loadKerberosConfig, openAgentSite } from '../../integrations/kerberos/index.ts'
import { type ChannelListener, connectChannel, createChannelListener } from '../../integrations/tls/index.ts'
import { ConfigError, type Kms, type Logger, TelemetryHub } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { withKerberosFile } from '../kerberos-file.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

/** `qkd kerberos agent`: agrees on key versions with other sites and puts them before the KDC. */
export const agentCommand = defineCommand({
  command: 'agent',
  describe: 'Key Kerberos principals from the KME, with the agents of other sites, until SIGTERM or Ctrl-C',
  builder: yargs =>
    withKmeOptions(withKerberosFile(yargs)).example(
      '$0 kerberos agent --kerberos /etc/qkd/kerberos.json --config /etc/qkd/alice.json',
      'beside the KDC, as the user that the KDC runs as',
    ),
  handler: async args => {
    const config = await loadKerberosConfig(args.kerberos)
    await withKms(args, kms => runAgent(kms, config, args))
  },
})

/** Runs an agent until a signal. */
export async function runAgent(kms: Kms, config: KerberosConfig, { json }: { json: boolean }): Promise<void> {
  // Asked for before anything is open, so that a signal during the start is not lost.
  const stopped = stopSignal()
  const logger = stderrLogger({ json })
  const telemetry = new TelemetryHub()
  const { timeoutMs, level } = config
  await using site = await openAgentSite(config, {
    kms,
    logger,
    telemetry,
    openChannel: async (peerSaeId, { signal }) => {
      const { host, port } = config.peers.find(({ saeId }) => saeId === peerSaeId)!
      if (host === undefined || port === undefined) throw new ConfigError(`peers: ${peerSaeId} has no host and port`)
      return await connectChannel(kms, { host, port, peerSaeId, timeoutMs, level, signal })
    },
  })
  await using listener = createListener(kms, config, { logger, onChannel: channel => void site.agent.serve(channel) })
  const listening = await listener?.listen()
  const where = listening === undefined ? '' : `, listens at ${listening.host} port ${listening.port}`
  const count = config.principals.length
  await (json
    ? printJson({ ready: true, listening: listening ?? null, principals: count, pid: process.pid })
    : printLines(`${kms.saeId} keys ${count} Kerberos principals${where}`))
  await stopped
}

function createListener(
  kms: Kms,
  { listen, principals, timeoutMs }: KerberosConfig,
  { logger, onChannel }: { logger: Logger; onChannel: Parameters<typeof createChannelListener>[1]['onChannel'] },
): ChannelListener | undefined {
  const issuers = new Set(principals.filter(({ role }) => role === 'acceptor').map(({ peer }) => peer))
  if (listen === undefined || issuers.size === 0) return undefined
  const peers = [...issuers].map(saeId => ({ saeId }))
  return createChannelListener(kms, { ...listen, peers, onChannel, deadlineMs: timeoutMs, logger })
}

/** What an administrator should know goes to standard error; the journal keeps it. */
export function stderrLogger({ json }: { json: boolean }): Logger {
  const tell = (severity: string) => (fields: object, message: string) => {
    const words = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`)
    const text = [message, ...words].join(' ')
    process.stderr.write(json ? `${JSON.stringify({ [severity]: message, ...fields })}\n` : `${severity}: ${text}\n`)
  }
  return { debug: () => {}, info: tell('info'), warn: tell('warning'), error: tell('error') }
}
