import { compileSchema, type JsonSchema } from '../util/json-schema.ts'

/*
 * The data models of ETSI GS QKD 020 V1.1.1, as far as we know them: docs/equipment.md says what was read and what was not. Read
 * tolerantly: unknown members are passed over, null stands for an optional member that is not there.
 */

/** Paths of the interface; `versions` stands outside of a version. */
export const PATHS = {
  versions: '/kmapi/versions',
  keys: '/kmapi/v1/ext_keys',
  ack: '/kmapi/v1/ext_keys/ack',
  void: '/kmapi/v1/ext_keys/void',
} as const

/** Keys, and acknowledgements, in one message at most. */
export const MAX_ENTRIES = 1_024
const MAX_URL_CHARS = 1_024

const saeId: JsonSchema = { type: 'string', minLength: 1, maxLength: 64 }
const keyId: JsonSchema = { type: 'string', minLength: 1, maxLength: 128 }
const targets: JsonSchema = { type: 'array', minItems: 1, maxItems: 64, items: saeId }
const callback: JsonSchema = { type: ['string', 'null'], maxLength: MAX_URL_CHARS }
const extension: JsonSchema = { type: ['object', 'null'] }
const pair = { initiator_sae_id: saeId, target_sae_ids: targets }

/** Keys that are handed over, as they are parsed: in place of each `value` stands where its bytes went. */
export interface ExtKeys {
  readonly keys: readonly { readonly key_id: string; readonly value: string; readonly extension?: object | null }[]
  readonly initiator_sae_id: string
  readonly target_sae_ids: readonly string[]
  /** Where the acknowledgement goes; without it the answer is the acknowledgement. */
  readonly ack_callback_url?: string | null
  readonly extension_mandatory?: object | null
  readonly extension_optional?: object | null
}

export const checkExtKeys = compileSchema<ExtKeys>({
  type: 'object',
  required: ['keys', 'initiator_sae_id', 'target_sae_ids'],
  properties: {
    keys: {
      type: 'array',
      minItems: 1,
      maxItems: MAX_ENTRIES,
      items: {
        type: 'object',
        required: ['key_id', 'value'],
        properties: { key_id: keyId, value: { type: 'string' }, extension },
      },
    },
    ...pair,
    ack_callback_url: callback,
    extension_mandatory: extension,
    extension_optional: extension,
  },
})

const statuses = ['relayed', 'failed', 'voided', 'failed to void', 'key not present'] as const

/** What became of keys. */
export type AckStatus = (typeof statuses)[number]

/** One acknowledgement; they come in lists. */
export interface Ack {
  readonly key_id_container: readonly { readonly key_id: string; readonly extension?: object | null }[]
  readonly ack_status: AckStatus
  readonly initiator_sae_id: string
  readonly target_sae_ids: readonly string[]
  readonly message?: string | null
}

export const checkAcks = compileSchema<readonly Ack[]>({
  type: 'array',
  minItems: 1,
  maxItems: MAX_ENTRIES,
  items: {
    type: 'object',
    required: ['key_id_container', 'ack_status', 'initiator_sae_id', 'target_sae_ids'],
    properties: {
      key_id_container: {
        type: 'array',
        minItems: 1,
        maxItems: MAX_ENTRIES,
        items: { type: 'object', required: ['key_id'], properties: { key_id: keyId, extension } },
      },
      ack_status: { enum: [...statuses] },
      ...pair,
      message: { type: ['string', 'null'] },
      extension,
    },
  },
})

/** Keys that are taken back. */
export interface VoidRequest {
  readonly key_ids: readonly string[]
  readonly initiator_sae_id: string
  readonly target_sae_ids: readonly string[]
  readonly ack_callback_url?: string | null
  /** Has to be true where `key_ids` is empty, which means all keys of these SAEs. */
  readonly all_confirmation?: boolean | null
}

export const checkVoid = compileSchema<VoidRequest>({
  type: 'object',
  required: ['key_ids', 'initiator_sae_id', 'target_sae_ids'],
  properties: {
    key_ids: { type: 'array', maxItems: MAX_ENTRIES, items: keyId },
    ...pair,
    ack_callback_url: callback,
    all_confirmation: { type: ['boolean', 'null'] },
  },
})

export const checkVersions = compileSchema<{ readonly versions: readonly string[]; readonly capabilities?: unknown }>({
  type: 'object',
  required: ['versions'],
  properties: { versions: { type: 'array', items: { type: 'string' } } },
})
