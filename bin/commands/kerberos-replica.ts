import { createKeyServer, followPrimary, ReplicaTable } from '../../integrations/kerberos/index.ts'
import { dialTlsChannel, requireInteger } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { parseHostPort } from '../host-port.ts'
import { readProfile, withKmeOptions } from '../kme-connection.ts'
import { stderrLogger } from '../stderr-logger.ts'
import { printJson, printLines, stopSignal } from '../terminal.ts'

/** `qkd kerberos replica`: the agent beside a replica KDC, mode plugin. */
export const replicaCommand = defineCommand({
  command: 'replica',
  describe: 'Serve a replica KDC with what the agent of the primary KDC has (mode plugin), until SIGTERM or Ctrl-C',
  builder: yargs =>
    withKmeOptions(yargs)
      .option('primary', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Where the primary’s agent waits for replicas (its --replicas), host:port',
      })
      .option('primary-sae', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'SAE ID of the primary’s agent, which its certificate must name',
      })
      .option('socket', {
        type: 'string',
        default: '/run/qkd/kdc.sock',
        requiresArg: true,
        describe: 'Unix socket on which the module asks, qkd_socket in kdc.conf',
      })
      .option('max-stale-s', {
        type: 'number',
        default: 60,
        describe: 'How long to go on issuing without the primary, in seconds',
      })
      .example(
        '$0 kerberos replica --primary kdc1.example:7189 --primary-sae bob --config kdc2.json',
        'beside the replica KDC; its profile names the certificate that the primary is shown',
      ),
  handler: async args => {
    // Asked for before anything is open, so that a signal during the start is not lost.
    const stopped = stopSignal()
    const { socket: socketPath, primarySae: expectedPeerId, json } = args
    const { saeId, tls } = await readProfile(args)
    const { host, port } = parseHostPort('primary', args.primary)
    const maxStaleMs = requireInteger('--max-stale-s', args.maxStaleS, { min: 0, max: 86_400 }) * 1000
    const logger = stderrLogger({ json })
    const stop = new AbortController()
    using table = new ReplicaTable({ maxStaleMs })
    await using server = createKeyServer(table, { socketPath, logger })
    await server.listen()
    const following = followPrimary(table, {
      connect: ({ signal }) =>
        dialTlsChannel({ ...tls, host, port, expectedPeerId, identify: ({ commonName }) => commonName, signal }),
      signal: stop.signal,
      logger,
    })
    await (json
      ? printJson({ ready: true, socket: socketPath, pid: process.pid })
      : printLines(`${saeId} serves a replica KDC at ${socketPath}, after ${args.primary}`))
    await stopped
    stop.abort()
    await following
  },
})
