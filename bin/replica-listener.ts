import { type KerberosConfig, ReplicaFeed } from '../integrations/kerberos/index.ts'
import { createTlsChannelListener } from '../lib/index.ts'
import { usageError } from './command.ts'
import { parseHostPort } from './host-port.ts'
import { type KmeArguments, readProfile } from './kme-connection.ts'
import { stderrLogger } from './stderr-logger.ts'

/** What an agent's command line says of replica KDCs. */
export interface ReplicaArguments extends KmeArguments {
  readonly replicas?: string
  readonly replica: readonly string[]
}

/** A feed for the agents of replica KDCs, who may connect from now on. */
export interface OpenReplicas extends AsyncDisposable {
  readonly feed: ReplicaFeed
}

/** Waits for the agents of replica KDCs over mutual TLS, with the certificate of the host; undefined where none is named. */
export async function openReplicas(
  { mode }: KerberosConfig,
  args: ReplicaArguments,
): Promise<OpenReplicas | undefined> {
  const { replicas, replica, json } = args
  if (replicas === undefined && replica.length === 0) return undefined
  if (replicas === undefined || replica.length === 0) throw usageError('Give --replicas and --replica together')
  if (mode !== 'plugin') throw usageError('--replicas is for mode plugin; mode setup has "propagate" in the file')
  const { tls } = await readProfile(args)
  const names = new Set(replica)
  const logger = stderrLogger({ json })
  const feed = new ReplicaFeed({ logger })
  const listener = createTlsChannelListener({
    ...tls,
    ...parseHostPort('replicas', replicas),
    identify: ({ commonName }) => (commonName !== undefined && names.has(commonName) ? commonName : undefined),
    onChannel: channel => void feed.serve(channel),
    logger,
  })
  await listener.listen()
  return {
    feed,
    [Symbol.asyncDispose]: async () => {
      await listener.close()
      await feed.close()
    },
  }
}
