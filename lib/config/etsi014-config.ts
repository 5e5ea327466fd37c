import type { Etsi014Compatibility, IdentitySource } from '../interface/sae-identity.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { integer, list, objectSchema } from './schema-parts.ts'

/** How the ETSI GS QKD 014 server tells its callers apart, what it does for odd clients, and its limits. */
export interface Etsi014Config extends Etsi014Compatibility {
  /** Where the name of a calling SAE stands, the place that goes first before the others. */
  readonly saeIdentity?: readonly IdentitySource[]
  /**
   * `optional`: a caller without a trusted certificate gets through the handshake and is told 401 in words. Default
   * `required`: its handshake fails.
   */
  readonly clientCertificate?: 'required' | 'optional'
  /** Largest request body, in bytes. Default 65,536. */
  readonly bodyLimitBytes?: number
  /** Connections at a time; further ones are dropped. Default 1,024. */
  readonly maxConnections?: number
}

const switchOf = (description: string, fallback: boolean): JsonSchema => ({
  type: 'boolean',
  default: fallback,
  description: `${description}: true or false`,
})

const identitySource: JsonSchema = objectSchema(
  'A place where the name of the calling SAE may stand',
  {
    from: {
      enum: ['fingerprint', 'serial-number', 'uri-san', 'dns-san', 'common-name', 'header'],
      description: 'Where to look',
    },
    prefix: { type: 'string', maxLength: 256, description: 'uri-san: what stands before the SAE ID' },
    suffix: { type: 'string', maxLength: 256, description: 'dns-san: what stands behind the SAE ID' },
    name: {
      type: 'string',
      pattern: '^[a-z0-9-]{1,64}$',
      description: 'header: its name, in lower-case letters, digits and "-"',
    },
    proxies: list(
      'header: certificates of the proxies that may send it',
      {
        type: 'string',
        pattern: '^[0-9a-f]{64}$',
        description: 'SHA-256 of a certificate: 64 lower-case hex digits without colons',
      },
      64,
    ),
    loopback: {
      type: 'boolean',
      description: 'header: whether programs of this machine that show no certificate may send it: true or false',
    },
  },
  ['prefix', 'suffix', 'name', 'proxies', 'loopback'],
)

export const etsi014Schema: JsonSchema = objectSchema(
  'How the ETSI GS QKD 014 server treats its callers',
  {
    saeIdentity: { ...list('Where the name of the calling SAE stands, in order', identitySource, 16), minItems: 1 },
    clientCertificate: {
      enum: ['required', 'optional'],
      default: 'required',
      description: 'Whether a caller without a trusted certificate fails in TLS, or gets 401',
    },
    exhaustionStatus: { enum: [503, 400], default: 503, description: 'HTTP status of an exhausted pool' },
    ignoreSize: switchOf('Give keys of the default size whatever a request asks for', false),
    keyExtensions: switchOf('Tell level and trust class with each key', true),
    bodyLimitBytes: integer('Largest request body, in bytes', 1_024, 1_048_576, 65_536),
    maxConnections: integer('Connections at a time', 1, 65_536, 1_024),
  },
  [
    'saeIdentity',
    'clientCertificate',
    'exhaustionStatus',
    'ignoreSize',
    'keyExtensions',
    'bodyLimitBytes',
    'maxConnections',
  ],
)

const FIELDS: Record<IdentitySource['from'], readonly string[]> = {
  fingerprint: [],
  'serial-number': [],
  'uri-san': ['prefix'],
  'dns-san': ['suffix'],
  'common-name': [],
  header: ['name', 'proxies', 'loopback'],
}

/** An SAE as far as its identity is concerned. */
interface PinnedSae {
  readonly fingerprint256?: string
  readonly serialNumber?: string
}

/** What no schema can say: fields that belong to another place, pins that nobody looks at, headers that anybody could send. */
export function checkEtsi014(config: Etsi014Config | undefined, saes: readonly PinnedSae[]): SchemaFault[] {
  const sources = config?.saeIdentity
  if (sources === undefined) return []
  return [
    ...sources.flatMap((source, at) => checkSource(source, `/etsi014/saeIdentity/${at}`, config!)),
    ...checkPins(sources, saes),
  ]
}

function checkSource(source: IdentitySource, path: string, config: Etsi014Config): SchemaFault[] {
  const { from, ...fields } = source
  const stray = Object.keys(fields).find(field => !FIELDS[from].includes(field))
  if (stray !== undefined) return [{ path, message: `field "${stray}" does not go with "${from}"; remove it` }]
  if (from !== 'header') return []
  const { name, proxies = [], loopback = false } = source
  if (name === undefined) return [{ path, message: 'field "name" is missing; "header" needs it' }]
  if (proxies.length === 0 && !loopback) {
    return [{ path, message: 'nobody may send this header; list certificates in "proxies", or set "loopback"' }]
  }
  if (!loopback || config.clientCertificate === 'optional') return []
  const message = '"loopback" is for callers without a certificate; set /etsi014/clientCertificate to "optional"'
  return [{ path, message }]
}

function checkPins(sources: readonly IdentitySource[], saes: readonly PinnedSae[]): SchemaFault[] {
  const pins = [
    ['fingerprint256', 'fingerprint'],
    ['serialNumber', 'serial-number'],
  ] as const
  return saes.flatMap((sae, at) =>
    pins
      .filter(([field, from]) => sae[field] !== undefined && !sources.some(source => source.from === from))
      .map(([field, from]) => ({
        path: `/saes/${at}/${field}`,
        message: `nobody looks at it; add {"from": "${from}"} to /etsi014/saeIdentity`,
      })),
  )
}
