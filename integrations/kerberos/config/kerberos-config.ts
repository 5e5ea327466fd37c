import {
  type AbortOptions,
  type JsonSchema,
  loadConfigFile,
  type SchemaFault,
  type SecurityLevel,
} from '../../../lib/index.ts'
import { ENCTYPES, type Enctype, enctypeProfile } from '../enctype.ts'
import { parsePrincipal } from '../principal.ts'
import { type KeyedPrincipal, keyedPrincipal } from '../versions/keyed-principal.ts'

/** One principal in the file of a Kerberos agent. */
export interface ConfiguredPrincipal {
  readonly principal: string
  readonly role: 'issuer' | 'acceptor'
  /** SAE ID of the other end's agent. */
  readonly peer: string
  /** As in krb5.conf. */
  readonly enctypes: readonly string[]
  readonly ticketLifeSeconds: number
  readonly skewSeconds: number
  readonly rotateSeconds: number
  readonly maxAgeSeconds?: number
  readonly window: number
}

/** The file of a Kerberos agent: beside a KDC (`kdc`), or on a service's host (`keytab`). */
export interface KerberosConfig {
  readonly mode: 'setup' | 'plugin'
  readonly kdc?: {
    readonly realm: string
    readonly database: string
    readonly stashFile: string
    readonly krb5Conf?: string
    readonly kdcConf?: string
    readonly propagate: readonly string[]
    readonly socket: string
    readonly socketMode: '0600' | '0660'
  }
  readonly keytab?: string
  readonly stateFile: string
  readonly controlSocket: string
  readonly listen?: { readonly host: string; readonly port: number }
  readonly peers: readonly { readonly saeId: string; readonly host?: string; readonly port?: number }[]
  readonly principals: readonly ConfiguredPrincipal[]
  readonly level?: SecurityLevel
  readonly timeoutMs: number
}

const text = (description: string, more: object = {}) => ({
  type: 'string',
  minLength: 1,
  maxLength: 1024,
  description,
  ...more,
})
const seconds = (description: string, value: number | undefined, max: number, min = 1) => ({
  type: 'integer',
  minimum: min,
  maximum: max,
  ...(value === undefined ? {} : { default: value }),
  description,
})
const list = (description: string, items: object, more: object = {}) => ({ type: 'array', description, items, ...more })
const object = (description: string, properties: object, required: readonly string[], more: object = {}) => ({
  type: 'object',
  description,
  additionalProperties: false,
  properties,
  required,
  ...more,
})
const saeId = text('SAE ID of the other agent')

/** JSON Schema (draft 2020-12) of a Kerberos agent's file. */
export const kerberosConfigSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit Kerberos agent',
  ...object(
    'Which Kerberos principals are keyed from the KMS, and where their keys go',
    {
      $schema: { type: 'string', description: 'Where this schema is published' },
      mode: {
        type: 'string',
        enum: ['setup', 'plugin'],
        default: 'setup',
        description: 'Keys go into the database of the KDC, or are served to its module',
      },
      kdc: object(
        'The KDC beside the agent; not on the host of a service',
        {
          realm: text('Its realm'),
          database: text('`database_name` in kdc.conf, a db2 database', { default: '/var/lib/krb5kdc/principal' }),
          stashFile: text('`key_stash_file` in kdc.conf', { default: '/etc/krb5kdc/stash' }),
          krb5Conf: text('Another krb5.conf than /etc/krb5.conf'),
          kdcConf: text('Another kdc.conf than /etc/krb5kdc/kdc.conf'),
          propagate: list(
            'Mode setup: program and arguments that bring a changed database to the replica KDCs',
            text('Program or argument'),
            { default: [], maxItems: 64 },
          ),
          socket: text('Mode plugin: unix socket on which the module asks', { default: '/run/qkd/kdc.sock' }),
          socketMode: {
            type: 'string',
            enum: ['0600', '0660'],
            default: '0600',
            description: 'Mode plugin: `0660` where KDC and agent share a group',
          },
        },
        ['realm'],
      ),
      keytab: text('The keytab to keep, on the host of a service; instead of `kdc`'),
      stateFile: text('What was agreed; its keys are under the master key of the realm', {
        default: '/var/lib/qkd/kerberos.json',
      }),
      controlSocket: text('Unix socket on which `qkd kerberos trust` asks the agent', {
        default: '/run/qkd/kerberos.sock',
      }),
      listen: object(
        'Where agents of issuers connect',
        {
          host: text('Local address', { default: '127.0.0.1' }),
          port: { type: 'integer', minimum: 0, maximum: 65_535, default: 7188, description: 'TCP port' },
        },
        [],
      ),
      peers: list(
        'The agents at other sites',
        object(
          'An agent',
          {
            saeId,
            host: text('Where it listens; needed where this end is the issuer'),
            port: { type: 'integer', minimum: 1, maximum: 65_535, description: 'Its TCP port' },
          },
          ['saeId'],
        ),
        { maxItems: 256 },
      ),
      principals: list(
        'The principals',
        object(
          'A principal',
          {
            principal: text('As `krbtgt/B.EXAMPLE@A.EXAMPLE`'),
            role: {
              type: 'string',
              enum: ['issuer', 'acceptor'],
              description: 'Whether the KDC here seals tickets with it, or this end opens them',
            },
            peer: saeId,
            enctypes: list('Encryption types, one key of each', text('As in krb5.conf'), {
              default: ['aes256-cts-hmac-sha384-192'],
              minItems: 1,
              maxItems: 4,
            }),
            ticketLifeSeconds: seconds(
              'Longest life of a ticket under it; its maximum life in the KDC',
              36_000,
              604_800,
            ),
            skewSeconds: seconds('How far clocks may differ', 300, 3_600, 0),
            rotateSeconds: seconds('Issuer: how often a new version comes', 600, 2_592_000),
            maxAgeSeconds: seconds(
              'Issuer, mode setup: after this long without a new version the KDC issues no more; 0 for never. Default ten rotations, at least 3600',
              undefined,
              2_592_000,
              0,
            ),
            window: seconds('Issuer: versions that the acceptor holds ahead of need', 1, 64),
          },
          ['principal', 'role', 'peer'],
        ),
        { default: [], maxItems: 1_000 },
      ),
      level: {
        type: 'string',
        enum: ['quantum', 'hybrid', 'expanded', 'post-quantum'],
        description: 'Security level of the keys that this end begins with; otherwise as the policy says',
      },
      timeoutMs: { type: 'integer', minimum: 100, maximum: 600_000, default: 5_000, description: 'For one agreement' },
    },
    ['peers'],
  ),
}

/**
 * Reads the file of a Kerberos agent.
 * @throws {ConfigError} every fault at once, each with file, JSON pointer and the fix
 */
export async function loadKerberosConfig(path: string, options: AbortOptions = {}): Promise<KerberosConfig> {
  return await loadConfigFile<KerberosConfig>(path, {
    schema: kerberosConfigSchema,
    check: checkKerberosConfig,
    ...options,
  })
}

/** What the schema can't say. */
export function checkKerberosConfig(config: KerberosConfig): SchemaFault[] {
  const { kdc, keytab, peers, principals, mode, listen } = config
  const faults: SchemaFault[] = []
  const fault = (path: string, message: string) => faults.push({ path, message })
  if ((kdc === undefined) === (keytab === undefined)) fault('/', 'give either "kdc" or "keytab"')
  if (keytab !== undefined && mode === 'plugin') fault('/mode', 'plugin needs "kdc"')
  const seen = new Set<string>()
  for (const [i, each] of principals.entries()) {
    const { principal, role, peer } = each
    const at = `/principals/${i}`
    try {
      const { realm } = parsePrincipal(principal)
      keyedPrincipal(principalOptions(config, each))
      if (role === 'issuer' && kdc === undefined) fault(`${at}/role`, 'an issuer needs "kdc"')
      if (role === 'issuer' && kdc !== undefined && realm !== kdc.realm) {
        fault(`${at}/principal`, `the KDC of ${kdc.realm} issues for principals of its own realm`)
      }
    } catch (error) {
      fault(at, (error as Error).message)
    }
    if (seen.has(principal)) fault(`${at}/principal`, `${principal} is there twice`)
    seen.add(principal)
    const reached = peers.find(({ saeId }) => saeId === peer)
    if (reached === undefined) fault(`${at}/peer`, `${peer} is not among "peers"`)
    else if (role === 'issuer' && (reached.host === undefined || reached.port === undefined)) {
      fault(`${at}/peer`, `say where ${peer} listens: "host" and "port" in "peers"`)
    }
    if (role === 'acceptor' && listen === undefined)
      fault('/listen', `${principal} is agreed on by whom connects: say where`)
  }
  return faults
}

/** The principal's terms as the agent has them. */
export function principalTerms(config: KerberosConfig): KeyedPrincipal[] {
  return config.principals.map(each => keyedPrincipal(principalOptions(config, each)))
}

function principalOptions({ mode }: KerberosConfig, { peer, enctypes, ...rest }: ConfiguredPrincipal) {
  return {
    ...rest,
    peerSaeId: peer,
    enctypes: enctypes.map(name => enctypeProfile(name).enctype as Enctype),
    wraps: mode === 'plugin',
  }
}

/** The names of every encryption type, for help texts. */
export const enctypeNames: readonly string[] = ENCTYPES.map(({ name }) => name)
