import {
  type KerberosConfig,
  loadKerberosConfig,
  openAgentSite,
  type ReplicaFeed,
} from '../../integrations/kerberos/index.ts'
import { type ChannelListener, connectChannel, createChannelListener } from '../../integrations/tls/index.ts'
import { ConfigError, createReceiptTelemetry, type Kms, type Logger, TelemetryHub } from '../../lib/index.ts'
import { serveAgentMetrics, withMetricsOption } from '../agent-metrics.ts'
import { defineCommand } from '../command.ts'
import { withKerberosFile } from '../kerberos-file.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { openReplicas } from '../replica-listener.ts'
import { stderrLogger } from '../stderr-logger.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

/** `qkd kerberos agent`: agrees on key versions with other sites and puts them before the KDC. */
export const agentCommand = defineCommand({
  command: 'agent',
  describe: 'Key Kerberos principals from the KME, with the agents of other sites, until SIGTERM or Ctrl-C',
  builder: yargs =>
    withMetricsOption(withKmeOptions(withKerberosFile(yargs)))
      .option('replicas', {
        type: 'string',
        requiresArg: true,
        describe: 'Mode plugin: where to wait for the agents of replica KDCs, host:port',
      })
      .option('replica', {
        type: 'string',
        array: true,
        default: [],
        requiresArg: true,
        describe: 'SAE ID of such an agent, which its certificate must name; once for each',
      })
      .example(
        '$0 kerberos agent --kerberos /etc/qkd/kerberos.json --config /etc/qkd/alice.json',
        'beside the KDC, as the user that the KDC runs as',
      ),
  repeatable: ['replica'],
  handler: async args => {
    const config = await loadKerberosConfig(args.kerberos)
    await using replicas = await openReplicas(config, args)
    await withKms(args, kms =>
      runAgent(kms, config, { json: args.json, metrics: args.metrics, replicas: replicas?.feed }),
    )
  },
})

/** Runs an agent until a signal. */
export async function runAgent(
  kms: Kms,
  config: KerberosConfig,
  { json, metrics, replicas }: { json: boolean; metrics?: string | undefined; replicas?: ReplicaFeed },
): Promise<void> {
  // Asked for before anything is open, so that a signal during the start is not lost.
  const stopped = stopSignal()
  const logger = stderrLogger({ json })
  const telemetry = new TelemetryHub()
  const { timeoutMs, level } = config
  await using _ = await serveAgentMetrics(telemetry, { metrics, saeId: kms.saeId, json })
  await using site = await openAgentSite(config, {
    kms,
    logger,
    telemetry: createReceiptTelemetry({ kms, telemetry, logger }),
    replicas,
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
