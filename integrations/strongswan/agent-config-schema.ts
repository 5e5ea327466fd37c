import type { JsonSchema } from '../../lib/index.ts'

const AES_GCM = ['aes256gcm16-prfsha256-x25519']
const ESP_AES_GCM = ['aes256gcm16-x25519']
/** Settings that the agent must set itself, or that would undo what it does. */
const OWN_SETTINGS = 'version|local_addrs|remote_addrs|proposals|ppk_id|ppk_required|children|local.*|remote.*|unique'
const OWN_CHILD_SETTINGS = 'local_ts|remote_ts|esp_proposals|start_action'

const text = (description: string, fallback?: string): JsonSchema => ({
  type: 'string',
  minLength: 1,
  maxLength: 4_096,
  ...(fallback === undefined ? {} : { default: fallback }),
  description,
})

const integer = (description: string, minimum: number, maximum: number, fallback?: number): JsonSchema => ({
  type: 'integer',
  minimum,
  maximum,
  ...(fallback === undefined ? {} : { default: fallback }),
  description: `${description}: an integer from ${minimum} to ${maximum}`,
})

const texts = (description: string, fallback?: readonly string[]): JsonSchema => ({
  type: 'array',
  minItems: 1,
  maxItems: 64,
  items: text(description),
  ...(fallback === undefined ? {} : { default: fallback }),
  description,
})

const object = (description: string, properties: Record<string, JsonSchema>, optional: readonly string[] = []) => ({
  type: 'object',
  description,
  properties,
  required: Object.keys(properties).filter(key => !optional.includes(key)),
  additionalProperties: false,
})

/** The agent's own settings are kept out by the pattern, so that nobody turns off what keeps the key in. */
const settings = (description: string, own: string): JsonSchema => ({
  type: 'object',
  description,
  maxProperties: 64,
  propertyNames: { pattern: `^(?!(${own})$)[a-z_0-9]{1,64}$` },
  additionalProperties: {
    anyOf: [
      { type: 'string', maxLength: 1_024 },
      { type: 'array', maxItems: 64, items: { type: 'string', maxLength: 1_024 } },
    ],
  },
  default: {},
})

const saeId = (description: string): JsonSchema => ({
  type: 'string',
  pattern: '^[\\x21-\\x7e]{1,291}$',
  description: `${description}: 1 to 291 printable ASCII characters without spaces`,
})

/** Lower case alone: charon compares the names that are made of it without regard to case. */
const name = (description: string): JsonSchema => ({
  type: 'string',
  pattern: '^[a-z][a-z0-9-]{0,31}$',
  description: `${description}: 1 to 32 lower-case letters, digits or "-", a letter first`,
})

const end = (description: string): JsonSchema =>
  object(description, { id: text('IKE identity'), addresses: texts('Address or name of the gateway') })

const address = (description: string, minimumPort: number): JsonSchema =>
  object(description, { host: text('Name or address'), port: integer('TCP port', minimumPort, 65_535) })

const child = object(
  'What is carried',
  {
    name: name('Name of the child'),
    localTs: texts('Local traffic selector, such as 10.1.0.0/16'),
    remoteTs: texts('Remote traffic selector'),
    espProposals: texts('ESP proposal, as in swanctl.conf', ESP_AES_GCM),
    settings: settings('Further settings of the child as in swanctl.conf', OWN_CHILD_SETTINGS),
  },
  ['espProposals', 'settings'],
)

const rotation: JsonSchema = {
  ...object(
    'When a new key is due: whatever comes first',
    {
      everySeconds: integer('Age of the key in seconds', 2, 31_536_000, 3_600),
      bytes: integer('Bytes carried under the key', 1_000, Number.MAX_SAFE_INTEGER),
      packets: integer('Packets carried under the key', 10, Number.MAX_SAFE_INTEGER),
    },
    ['everySeconds', 'bytes', 'packets'],
  ),
  default: {},
}

const connection = object(
  'An IKE connection',
  {
    name: name('Name of the connection, the same at both ends'),
    peer: saeId('SAE ID of one of /peers'),
    mode: {
      enum: ['ppk', 'psk', 'vendor'],
      default: 'ppk',
      description: "ppk (RFC 8784), psk (IKE's pre-shared key), or vendor (a foreign gateway names an ETSI 014 key_ID)",
    },
    role: { enum: ['initiator', 'responder'], description: 'Which end this is; the peer has the other' },
    local: end('This gateway'),
    remote: end('The other gateway'),
    auth: { enum: ['psk', 'pubkey'], default: 'psk', description: 'How the gateways authenticate besides the PPK' },
    secretFile: text('File with the static secret of auth psk, mode 0600, relative to this file'),
    proposals: texts('IKE proposal, as in swanctl.conf', AES_GCM),
    children: {
      type: 'array',
      maxItems: 64,
      items: child,
      description: 'What is carried; with none an IKE_SA comes up alone (RFC 6023)',
    },
    rotation,
    hardExpirySeconds: integer('Age of a key at which the connection is taken down, in seconds', 2, 31_536_000),
    settings: settings('Further settings of the connection as in swanctl.conf', OWN_SETTINGS),
  },
  ['mode', 'auth', 'secretFile', 'proposals', 'rotation', 'hardExpirySeconds', 'settings'],
)

/** JSON Schema (draft 2020-12) of the file that `qkd ipsec agent --config` takes; relative paths start at the file. */
export const ipsecAgentConfigSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit IPsec agent configuration',
  ...object(
    'The agent of one gateway',
    {
      $schema: text('Where this schema is published'),
      saeProfile: text('Profile of the host as which the agent gets keys, relative to this file'),
      viciSocket: text("Socket of charon's vici plugin", '/run/charon.vici'),
      listen: address('Where the agents of peers connect; port 0 for a free one', 0),
      stateDir: text('Directory of what must survive the agent; holds no key', '/var/lib/qkdkit/ipsec'),
      spoolDir: text('Directory in which the updown hook leaves its files', '/run/qkdkit/updown'),
      controlSocket: text('Where the commands reach the agent', '/run/qkdkit/ipsec.sock'),
      onUpdown: text('Program that is told of each up and down, relative to this file'),
      reconcileSeconds: integer('How often charon is compared with what it should have, in seconds', 1, 300, 5),
      peers: {
        type: 'array',
        minItems: 1,
        maxItems: 1_024,
        description: 'Hosts at the other ends',
        items: object(
          'A host at the other end',
          { saeId: saeId('SAE ID'), agent: address('Where its agent listens', 1) },
          ['agent'],
        ),
      },
      connections: {
        type: 'array',
        minItems: 1,
        maxItems: 1_024,
        description: 'IKE connections that get their keys from the agent',
        items: connection,
      },
    },
    ['$schema', 'viciSocket', 'stateDir', 'spoolDir', 'controlSocket', 'onUpdown', 'reconcileSeconds'],
  ),
}
