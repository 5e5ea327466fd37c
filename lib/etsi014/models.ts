import type { SecurityLevel, TrustClass } from '../interface/kms.ts'
import { compileSchema, type JsonSchema } from '../util/json-schema.ts'

/*
 * The data models of ETSI GS QKD 014 V1.1.1, clause 6, type and schema side by side. All are read tolerantly: unknown members
 * are passed over and null stands for an optional member that is not there.
 */

const optional = (type: string, more: JsonSchema = {}): JsonSchema => ({ type: [type, 'null'], ...more })
const integer: JsonSchema = { type: 'integer' }
const text: JsonSchema = { type: 'string' }

/** Status (table 9). Sizes in bits. */
export interface EtsiStatus {
  source_KME_ID: string
  target_KME_ID: string
  master_SAE_ID: string
  slave_SAE_ID: string
  key_size: number
  stored_key_count: number
  max_key_count: number
  max_key_per_request: number
  max_key_size: number
  min_key_size: number
  max_SAE_ID_count: number
  status_extension?: object | null
}

const statusMembers = {
  source_KME_ID: text,
  target_KME_ID: text,
  master_SAE_ID: text,
  slave_SAE_ID: text,
  key_size: integer,
  stored_key_count: integer,
  max_key_count: integer,
  max_key_per_request: integer,
  max_key_size: integer,
  min_key_size: integer,
  max_SAE_ID_count: integer,
}

/** Names of the mandatory members of a status. */
export const STATUS_MEMBERS = Object.keys(statusMembers) as (keyof typeof statusMembers)[]

export const checkStatus = compileSchema<EtsiStatus>({
  type: 'object',
  required: STATUS_MEMBERS,
  properties: { ...statusMembers, status_extension: optional('object') },
})

/** Key request (table 10). Size in bits. */
export interface EtsiKeyRequest {
  number?: number | null
  size?: number | null
  additional_slave_SAE_IDs?: string[] | null
  extension_mandatory?: Record<string, unknown>[] | null
  extension_optional?: Record<string, unknown>[] | null
}

const count = optional('integer', { minimum: 1, maximum: 2 ** 31 - 1 })
const extensions = optional('array', { items: { type: 'object' } })

export const checkKeyRequest = compileSchema<EtsiKeyRequest>({
  type: 'object',
  properties: {
    number: count,
    size: count,
    additional_slave_SAE_IDs: optional('array', { minItems: 1, items: { type: 'string', minLength: 1 } }),
    extension_mandatory: extensions,
    extension_optional: extensions,
  },
})

/** Key IDs (table 12). */
export interface EtsiKeyIds {
  key_IDs: { key_ID: string; key_ID_extension?: object | null }[]
  key_IDs_extension?: Record<string, unknown> | null
}

export const checkKeyIds = compileSchema<EtsiKeyIds>({
  type: 'object',
  required: ['key_IDs'],
  properties: {
    key_IDs: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['key_ID'],
        properties: { key_ID: { type: 'string', minLength: 1 }, key_ID_extension: optional('object') },
      },
    },
    key_IDs_extension: optional('object'),
  },
})

/** Key container (table 11) as it is parsed: in place of each `key` stands where its bytes went. */
export interface EtsiKeyContainer {
  keys: { key_ID: string; key: string; key_ID_extension?: object | null; key_extension?: EtsiKeyExtension | null }[]
  key_container_extension?: object | null
}

/** What we tell of a key besides its bytes. */
export interface EtsiKeyExtension {
  qkd_level?: SecurityLevel
  qkd_trust_class?: TrustClass
}

export const checkKeyContainer = compileSchema<EtsiKeyContainer>({
  type: 'object',
  required: ['keys'],
  properties: {
    keys: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['key_ID', 'key'],
        properties: {
          key_ID: { type: 'string', minLength: 1 },
          key: text,
          key_ID_extension: optional('object'),
          key_extension: optional('object'),
        },
      },
    },
    key_container_extension: optional('object'),
  },
})

/** Error (table 13). */
export interface EtsiError {
  message: string
  details?: Record<string, unknown>[]
}

/** The `message` strings that the standard prescribes (clauses 6.2 to 6.4), all with status 400. */
export const MESSAGES = {
  sizeNotMultipleOf8: 'size shall be a multiple of 8',
  mandatoryUnknown: 'not all extension_mandatory parameters are supported',
  mandatoryUnmet: 'not all extension_mandatory request options could be met',
  keysNotFound: 'one or more keys specified are not found on KME',
} as const

/** Member of `details` that carries our error code, so that a client of ours throws what the KMS threw. */
export const CODE_DETAIL = 'qkd_code'

/** Extension by which a request asks for a security level; the vendor prefix ends in `_`, as the standard wants it. */
export const LEVEL_EXTENSION = 'qkd_level'

/**
 * Extension by which a request names the lowest level that will do: in `extension_mandatory` of Get key, where it also allows a
 * policy to lower the level that far, and in `key_IDs_extension` of Get key with key IDs.
 */
export const MIN_LEVEL_EXTENSION = 'qkd_min_level'

/** Optional extension that says what the key is for, where policies tell uses apart. */
export const INTEGRATION_EXTENSION = 'qkd_integration'
