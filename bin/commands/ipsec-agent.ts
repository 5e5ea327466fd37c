import {
  AgentService,
  createIpsecAgent,
  type IpsecAgentConfig,
  type IpsecAgentEvent,
  loadIpsecAgentConfig,
} from '../../integrations/strongswan/index.ts'
import { connectChannel, createChannelListener } from '../../integrations/tls/index.ts'
import {
  createReceiptTelemetry,
  InvalidArgumentError,
  type Kms,
  requireInteger,
  TelemetryHub,
} from '../../lib/index.ts'
import { serveAgentMetrics, withMetricsOption } from '../agent-metrics.ts'
import { defineCommand } from '../command.ts'
import { describeAgentEvent } from '../ipsec-words.ts'
import { withKms } from '../kme-connection.ts'
import { withStrongswanFiles } from '../strongswan-files.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

/** How long another gateway's agent may take to answer, in milliseconds. */
const DIAL_MS = 5_000

/** `qkd ipsec agent`: the daemon beside charon. */
export const ipsecAgentCommand = defineCommand({
  command: 'agent',
  describe: "Keep this gateway's IPsec connections on fresh keys, until SIGTERM or Ctrl-C",
  builder: yargs =>
    withMetricsOption(withStrongswanFiles(yargs))
      .option('config', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: "The agent's configuration",
      })
      .option('drain-ms', {
        type: 'number',
        default: 10_000,
        describe: 'How long a rotation may go on after SIGTERM, in milliseconds',
      })
      .example(
        '$0 ipsec agent --config /etc/qkdkit/ipsec.json',
        'prints one line when it runs; events go to standard error',
      ),
  handler: async args => {
    // Asked for before anything is open, so that a signal during the start is not lost.
    const stopped = stopSignal()
    requireInteger('--drain-ms', args.drainMs, { min: 0, max: 600_000 })
    const config = await loadIpsecAgentConfig(args.config)
    const { json } = args
    await withKms({ config: config.saeProfile, timeoutMs: DIAL_MS, json }, kms =>
      run(kms, config, { ...args, stopped }),
    )
  },
})

interface RunOptions {
  readonly json: boolean
  readonly metrics: string | undefined
  readonly drainMs: number
  readonly strongswanConf: string
  readonly ipsecConf: string
  readonly stopped: Promise<unknown>
}

async function run(
  kms: Kms,
  config: IpsecAgentConfig,
  { json, metrics, drainMs, stopped, ...files }: RunOptions,
): Promise<void> {
  const telemetry = new TelemetryHub()
  await using _ = await serveAgentMetrics(telemetry, { metrics, saeId: kms.saeId, json })
  const agent = createIpsecAgent({
    config,
    telemetry: createReceiptTelemetry({ kms, telemetry }),
    kms,
    dial: ({ saeId, agent: address }, { signal }) => {
      if (address === undefined)
        throw new InvalidArgumentError(`The configuration has no address of the agent of ${saeId}`)
      return connectChannel(kms, { ...address, peerSaeId: saeId, timeoutMs: DIAL_MS, signal })
    },
  })
  agent.onEvent(event => tell(event, { json }))
  await using service = new AgentService({ config, agent, files })
  await service.open()
  const peers = config.peers.map(({ saeId }) => ({ saeId }))
  await using listener = createChannelListener(kms, {
    ...config.listen,
    peers,
    onChannel: channel => agent.accept(channel),
  })
  const listening = await listener.listen()
  const stop = new AbortController()
  void stopped.then(() => stop.abort())
  try {
    await service.start(stop)
  } catch (error) {
    if (!stop.signal.aborted) throw error
  }
  if (!stop.signal.aborted) {
    const { host, port } = listening
    const names = config.connections.map(({ name }) => name)
    const line = `${kms.saeId} keeps ${names.join(', ')} on keys; other agents reach it at ${host} port ${port}`
    await (json
      ? printJson({ ready: true, saeId: kms.saeId, listening, connections: names, pid: process.pid })
      : printLines(line))
    await stopped
  }
  await service.close({ signal: AbortSignal.timeout(drainMs) })
}

function tell(event: IpsecAgentEvent, { json }: { json: boolean }): void {
  process.stderr.write(`${json ? JSON.stringify({ event }) : describeAgentEvent(event)}\n`)
}
