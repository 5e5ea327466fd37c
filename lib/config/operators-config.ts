import type { OperatorRole } from '../interface/operator.ts'
import type { JsonSchema } from '../util/json-schema.ts'
import { etsiId, list, listenSchema, objectSchema, text } from './schema-parts.ts'
import type { ListenConfig } from './site-config.ts'

/** Every role, in the order of the docs. */
export const OPERATOR_ROLES = ['operator', 'auditor', 'enroller', 'security-officer'] as const

/** Somebody who looks after a site, and the certificate they are known by: one of the three fields names it. */
export interface OperatorPersonConfig {
  /** What the audit log calls them. */
  readonly name: string
  readonly roles: readonly OperatorRole[]
  /** SHA-256 of the certificate's DER, lower-case hex without colons. */
  readonly fingerprint256?: string
  readonly commonName?: string
  /** URI among the subject alternative names. */
  readonly uri?: string
}

/** How operators reach a running site, and what each may do. */
export interface OperatorsConfig {
  /** Path of a unix socket. Default none. */
  readonly socket?: string
  /** Who may open it: its owner (`0600`), or the owner's group too (`0660`). Default `0600`. */
  readonly socketMode?: '0600' | '0660'
  /** What whoever may open it is. Default every role: it is the user that the site runs as. */
  readonly socketRoles?: readonly OperatorRole[]
  /** A server with mutual TLS, under the certificate of the site. Default none. */
  readonly listen?: ListenConfig
  readonly people?: readonly OperatorPersonConfig[]
}

/** The same as it stands in a file. */
export interface OperatorsConfigFile extends Omit<OperatorsConfig, 'listen'> {
  readonly listen?: Partial<ListenConfig> & Pick<ListenConfig, 'port'>
}

/** Roles as JSON Schema. */
export const rolesSchema = (description: string): JsonSchema => ({
  type: 'array',
  description,
  items: { enum: [...OPERATOR_ROLES], description: 'A role' },
  uniqueItems: true,
  maxItems: OPERATOR_ROLES.length,
})

/** People with their certificates and roles, as JSON Schema. */
export const peopleSchema: JsonSchema = list(
  'Who looks after it',
  {
    ...objectSchema(
      'A person or program, and its certificate',
      {
        name: text('What the audit log calls them'),
        roles: rolesSchema('What they may do'),
        fingerprint256: {
          type: 'string',
          pattern: '^[0-9a-f]{64}$',
          description: 'SHA-256 of the certificate: 64 lower-case hex digits without colons',
        },
        commonName: etsiId('Common name of the certificate'),
        uri: etsiId('URI among the subject alternative names of the certificate'),
      },
      ['fingerprint256', 'commonName', 'uri'],
    ),
    minProperties: 3,
    maxProperties: 3,
  },
  256,
)

/** Operators of a site, as JSON Schema. */
export const operatorsSchema: JsonSchema = objectSchema(
  'How operators reach the running site, and what each may do',
  {
    socket: text('Unix socket for those on this machine, relative to this file'),
    socketMode: {
      enum: ['0600', '0660'],
      default: '0600',
      description: 'Who may open it: the owner, or the group too',
    },
    socketRoles: { ...rolesSchema('What whoever may open it is'), default: [...OPERATOR_ROLES] },
    listen: listenSchema('Where operators connect with mutual TLS'),
    people: peopleSchema,
  },
  ['socket', 'socketMode', 'socketRoles', 'listen', 'people'],
)
