import {
  createDatabaseSink,
  type DatabaseSinkOptions,
  masterKeyVault,
} from '../../../integrations/kerberos/kdb/database-sink.ts'
import { KdcDatabase } from '../../../integrations/kerberos/kdb/kdc-database.ts'
import type { KeyedPrincipalOptions } from '../../../integrations/kerberos/versions/keyed-principal.ts'
import { LedgerFile } from '../../../integrations/kerberos/versions/ledger-store.ts'
import { createTestRealms, type TestRealm } from '../../helpers/kdc-realm.ts'
import { createAgentPair } from './agent-pair.ts'
import { type KdcMode, LOCAL_SERVICE, SERVICE, TICKET_LIFE_SECONDS, TRUST, type TrustRig } from './trust-suite.ts'

/** What a test may set of its database. */
interface DatabaseChoice {
  readonly environment?: Record<string, string>
  readonly onFault?: (text: string) => void
  readonly timeoutMs?: number
}

/** The database of a test realm, as an agent beside its KDC reaches it. */
export function databaseOf(
  realm: TestRealm,
  { environment = {}, onFault, timeoutMs }: DatabaseChoice = {},
): KdcDatabase {
  const { KRB5_CONFIG, KRB5_KDC_PROFILE } = realm.env
  return new KdcDatabase({
    realm: realm.name,
    database: realm.database,
    stashFile: realm.stash,
    environment: { KRB5_CONFIG: KRB5_CONFIG!, KRB5_KDC_PROFILE: KRB5_KDC_PROFILE!, ...environment },
    onFault: ({ description }) => onFault?.(description),
    timeoutMs,
  })
}

/** Terms of the trust in these tests. */
export function trustTerms(
  role: 'issuer' | 'acceptor',
  options: Partial<KeyedPrincipalOptions> = {},
): KeyedPrincipalOptions {
  const peerSaeId = role === 'issuer' ? 'bob' : 'alice'
  return { principal: TRUST, role, peerSaeId, ticketLifeSeconds: TICKET_LIFE_SECONDS, skewSeconds: 0, ...options }
}

/** Options of `buildSetup`. */
export interface SetupOptions {
  readonly now?: () => number
  readonly terms?: Partial<KeyedPrincipalOptions>
  readonly onFault?: (text: string) => void
  /** For the agent of B. */
  readonly sink?: DatabaseSinkOptions
  /** For the agent of A. */
  readonly issuerSink?: DatabaseSinkOptions
}

/** Two realms keyed by two agents through their databases. */
export async function buildSetup(kms: Parameters<KdcMode['build']>[0], options: SetupOptions = {}): Promise<TrustRig> {
  const { now, terms, onFault } = options
  const realms = await createTestRealms()
  try {
    const [a, b] = realms.realms as readonly [TestRealm, TestRealm]
    for (const realm of [a, b]) await realm.kadmin(`addprinc -nokey ${TRUST}`)
    await a.kadmin(`addprinc -randkey ${LOCAL_SERVICE}`)
    await b.kadmin(`addprinc -randkey ${SERVICE}`)
    const agent = (realm: TestRealm, sinkOptions?: DatabaseSinkOptions) => ({
      sink: createDatabaseSink(databaseOf(realm, { onFault }), sinkOptions),
      store: new LedgerFile(`${realm.directory}/versions.json`, masterKeyVault(realm.stash)),
      now,
    })
    const pair = await createAgentPair([
      { kms: kms.alice, principals: [trustTerms('issuer', terms)], ...agent(a, options.issuerSink) },
      { kms: kms.bob, principals: [trustTerms('acceptor', terms)], ...agent(b, options.sink) },
    ])
    return {
      realms,
      pair,
      stopIssuer: () => pair.agents[0].close(),
      [Symbol.asyncDispose]: async () => {
        await pair[Symbol.asyncDispose]()
        await realms[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await realms[Symbol.asyncDispose]()
    throw error
  }
}

/** Raw keys in the KDCs' databases; no module. */
export const setupMode: KdcMode = {
  name: 'setup',
  build: (kms, { now, maxAgeSeconds }) => buildSetup(kms, { now, terms: { maxAgeSeconds } }),
  unknownKvno: /(No matching key in entry|Key version is not available|error 44)/,
  // KDC_ERR_SERVICE_EXP.
  stopped: /error 2 /,
  noKey: /No matching key in entry|error 7 |error 29 /,
}
