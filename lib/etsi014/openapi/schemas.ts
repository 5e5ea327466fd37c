import type { JsonSchema } from '../../util/json-schema.ts'
import { CODE_DETAIL, INTEGRATION_EXTENSION, LEVEL_EXTENSION, MIN_LEVEL_EXTENSION } from '../models.ts'

/*
 * The data models of ETSI GS QKD 014 V1.1.1, clause 6, as this KME writes them: requests may have further members and null for
 * what is optional, answers have no others than these.
 */

const LEVELS = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']
const TRUST_CLASSES = ['direct', 'split', 'relayed', 'post-quantum']
const MAX_COUNT = 2 ** 31 - 1

const saeId = (description: string): JsonSchema => ({ type: 'string', minLength: 1, maxLength: 291, description })
const count = (description: string, minimum: number): JsonSchema => ({
  type: 'integer',
  minimum,
  maximum: MAX_COUNT,
  description,
})
const closed = (description: string, properties: Record<string, JsonSchema>, optional: readonly string[] = []) => ({
  type: 'object',
  description,
  required: Object.keys(properties).filter(name => !optional.includes(name)),
  properties,
  additionalProperties: false,
})
const openObject = (description: string, properties: Record<string, JsonSchema>, required: readonly string[] = []) => ({
  type: 'object',
  description,
  ...(required.length > 0 && { required }),
  properties,
})
const level: JsonSchema = { type: 'string', enum: LEVELS }
const nullable = (schema: JsonSchema): JsonSchema => ({ ...schema, type: [schema.type, 'null'] })
const extensions = (description: string, properties: Record<string, JsonSchema>): JsonSchema =>
  nullable({ type: 'array', description, items: openObject('One or more extensions by name', properties) })

const Status = closed(
  'State of the pool between the two SAEs (table 9). Sizes in bits',
  {
    source_KME_ID: { type: 'string', description: 'This KME' },
    target_KME_ID: { type: 'string', description: 'The KME of the slave' },
    master_SAE_ID: saeId('The caller'),
    slave_SAE_ID: saeId('The SAE of the path'),
    key_size: count('Size of a key where a request names none', 8),
    stored_key_count: count('Keys of that size that can be had now', 0),
    max_key_count: count('Most keys of that size that the pool holds', 0),
    max_key_per_request: count('Largest number', 1),
    max_key_size: count('Largest size', 8),
    min_key_size: count('Smallest size', 8),
    max_SAE_ID_count: count('Most additional_slave_SAE_IDs; 0 for no multicast', 0),
    status_extension: openObject(
      'What this KME says beyond the standard, where the header Prefer: qkd-status-extension asks for it',
      {
        qkd_pool: openObject('How the pool fares', {
          trend: {
            type: 'string',
            enum: ['steady', 'changing'],
            description: 'Whether demand has leapt or dropped of late',
          },
          degraded: { type: 'boolean', description: 'The network grants less key than hosts ask for' },
          lostCells: count('Cells of 32 bytes lost to restores so far; left out for none', 0),
          exhaustionMs: count('How long the stock lasts at the present rate, ms; left out where nobody asks', 0),
        }),
      },
    ),
  },
  ['status_extension'],
)

const KeyRequest = openObject('What keys are asked for (table 10); {} asks for one of the default size', {
  number: nullable(count('How many keys; 1 where it is left out', 1)),
  size: nullable({ ...count('Size of each key in bits; key_size where it is left out', 8), multipleOf: 8 }),
  additional_slave_SAE_IDs: nullable({
    type: 'array',
    minItems: 1,
    items: saeId('A further slave, which gets the same keys'),
    description: 'At most max_SAE_ID_count; each once, and neither master nor slave',
  }),
  extension_mandatory: extensions('All of them are met, or 400 is answered and no key consumed', {
    [LEVEL_EXTENSION]: { ...level, description: 'Security level of the keys' },
    [MIN_LEVEL_EXTENSION]: { ...level, description: 'Lowest level that will do where the pool is dry' },
  }),
  extension_optional: extensions('Those that this KME does not know are passed over', {
    [INTEGRATION_EXTENSION]: {
      description:
        'What the keys are for: a name of letters, digits, ".", "_" and "-" that policies may tell uses apart by',
    },
  }),
})

const KeyIDs = openObject(
  'Which keys are asked for (table 12)',
  {
    key_IDs: {
      type: 'array',
      minItems: 1,
      items: openObject(
        'One key',
        {
          key_ID: { type: 'string', minLength: 1, description: 'As enc_keys gave it, in upper or lower case' },
          key_ID_extension: { type: ['object', 'null'], description: 'Passed over' },
        },
        ['key_ID'],
      ),
    },
    key_IDs_extension: nullable(
      openObject('What will do', {
        [MIN_LEVEL_EXTENSION]: {
          ...level,
          description: 'Lowest level that is taken: 400, and no key consumed, below it',
        },
      }),
    ),
  },
  ['key_IDs'],
)

const Key = closed(
  'One key (table 11)',
  {
    key_ID: {
      type: 'string',
      pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
      description: 'A version-4 UUID in lower case',
    },
    key: {
      type: 'string',
      contentEncoding: 'base64',
      pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
      description: 'The key in base64 (RFC 4648, section 4), padded',
    },
    key_extension: closed('What is known of the key; left out where the configuration says so', {
      qkd_level: { ...level, description: 'Security level that the key has' },
      qkd_trust_class: { type: 'string', enum: TRUST_CLASSES, description: 'How its material came' },
    }),
  },
  ['key_extension'],
)

const KeyContainer = closed('Keys, in the order asked for (table 11)', {
  keys: { type: 'array', minItems: 1, items: { $ref: '#/components/schemas/Key' } },
})

const ErrorBody = closed(
  'Why a request was refused (table 13)',
  {
    message: { type: 'string', minLength: 1, description: 'Where the standard prescribes a message, that one' },
    details: {
      type: 'array',
      items: openObject('Names and values', {
        [CODE_DETAIL]: { type: 'string', pattern: '^ERR_QKD_[A-Z_]+$', description: 'Code of the error' },
        parameter_name: { type: 'string', description: 'What was wrong' },
      }),
    },
  },
  ['details'],
)

/** Components of the OpenAPI document, by name. */
export const schemas: Readonly<Record<string, JsonSchema>> = {
  Status,
  KeyRequest,
  KeyIDs,
  Key,
  KeyContainer,
  Error: ErrorBody,
}
