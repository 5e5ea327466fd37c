import type { AbortOptions, Closable, Kms, Logger, MessageChannel, Telemetry } from '../../../lib/index.ts'
import { type KerberosConfig, principalTerms } from '../config/kerberos-config.ts'
import { createControlServer } from '../control/control-server.ts'
import { createDatabaseSink, masterKeyVault } from '../kdb/database-sink.ts'
import { KdcDatabase } from '../kdb/kdc-database.ts'
import { createKeyServer } from '../key-server.ts'
import { createKeytabSink, keytabVault } from '../keytab-sink.ts'
import type { ReplicaFeed } from '../replica/replica-feed.ts'
import { KeyLedger } from '../versions/key-ledger.ts'
import { tableSink } from '../versions/key-sink.ts'
import { LedgerFile } from '../versions/ledger-store.ts'
import { KerberosAgent } from './kerberos-agent.ts'

/** What an agent's file leaves to the program. */
export interface AgentSiteOptions {
  readonly kms: Kms
  readonly openChannel: (peerSaeId: string, options: AbortOptions) => Promise<MessageChannel>
  readonly telemetry?: Telemetry
  readonly logger: Logger
  /** Mode plugin: keeps the agents of the realm's other KDCs in step. The caller closes it. Default none. */
  readonly replicas?: ReplicaFeed
}

/** An agent with everything that its file names: database or keytab, state file, control socket, the KDC's socket. */
export interface AgentSite extends Closable {
  readonly agent: KerberosAgent
}

/** The database that the file names. */
export function configuredDatabase(
  { realm, database, stashFile, krb5Conf, kdcConf }: NonNullable<KerberosConfig['kdc']>,
  { onFault }: { onFault?: (description: string) => void } = {},
): KdcDatabase {
  const environment = {
    ...(krb5Conf === undefined ? {} : { KRB5_CONFIG: krb5Conf }),
    ...(kdcConf === undefined ? {} : { KRB5_KDC_PROFILE: kdcConf }),
  }
  return new KdcDatabase({
    realm,
    database,
    stashFile,
    environment,
    onFault: ({ description }) => onFault?.(description),
  })
}

/** Opens the agent that the file describes; nothing stays open where that fails. */
export async function openAgentSite(config: KerberosConfig, options: AgentSiteOptions): Promise<AgentSite> {
  const { kms, openChannel, telemetry, logger } = options
  const { level, timeoutMs } = config
  const ledger = createLedger(config, options)
  const agent = new KerberosAgent({ kms, ledger, openChannel, level, timeoutMs, telemetry, logger })
  const control = createControlServer(agent, { socketPath: config.controlSocket, logger })
  const keyServer = createConfiguredKeyServer(config, { ledger, agent, logger })
  const close = async () => {
    await control.close()
    await keyServer?.close()
    await agent.close()
  }
  try {
    // First the socket that only one agent can have: a second one must not touch the KDC.
    await control.listen()
    await agent.open()
    await keyServer?.listen()
  } catch (error) {
    await close()
    throw error
  }
  return { agent, close, [Symbol.asyncDispose]: close }
}

function createLedger(config: KerberosConfig, { logger, telemetry, replicas }: AgentSiteOptions): KeyLedger {
  const { kdc, keytab, mode, stateFile } = config
  const principals = principalTerms(config)
  if (kdc === undefined) {
    const store = new LedgerFile(stateFile, keytabVault(keytab!))
    return new KeyLedger({ principals, sink: createKeytabSink(keytab!), store })
  }
  const onFault = (description: string) => {
    const id = `kerberos-lock-file ${kdc.realm}`
    logger.error({ realm: kdc.realm, reason: description }, 'the KDC database was disabled and is mended')
    telemetry?.emit({ type: 'alarm', id, severity: 'major', state: 'raised', text: description })
    telemetry?.emit({ type: 'alarm', id, severity: 'major', state: 'cleared', text: description })
  }
  const database = configuredDatabase(kdc, { onFault })
  const sink = mode === 'plugin' ? (replicas ?? tableSink) : createDatabaseSink(database, { propagate: kdc.propagate })
  return new KeyLedger({ principals, sink, store: new LedgerFile(stateFile, masterKeyVault(kdc.stashFile)) })
}

function createConfiguredKeyServer(
  { mode, kdc }: KerberosConfig,
  { ledger, agent, logger }: { ledger: KeyLedger; agent: KerberosAgent; logger: Logger },
) {
  if (mode !== 'plugin' || kdc === undefined) return undefined
  const socketMode = kdc.socketMode === '0660' ? 0o660 : 0o600
  const issueTicketKey = (principal: string) => agent.issueTicketKey(principal)
  return createKeyServer(ledger.table, { socketPath: kdc.socket, socketMode, issueTicketKey, logger })
}
