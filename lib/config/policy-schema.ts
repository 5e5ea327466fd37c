import type { JsonSchema } from '../util/json-schema.ts'
import { integer, list, name, objectSchema, text } from './schema-parts.ts'

const levels = ['one-time-pad', 'quantum', 'hybrid', 'expanded', 'post-quantum']

const saeNames: JsonSchema = {
  ...list(
    'SAEs',
    {
      type: 'string',
      pattern:
        '^(\\*|@[A-Za-z0-9][A-Za-z0-9._-]{0,63}|[\\x21-\\x29\\x2b-\\x3f\\x41-\\x7e][\\x21-\\x29\\x2b-\\x7e]{0,290}\\*?)$',
      description: 'An SAE ID, its beginning and "*", "@" and a group, or "*" for any',
    },
    1_000,
  ),
  minItems: 1,
}

const rate: JsonSchema = objectSchema(
  'How much key may be burned',
  {
    bitsPerSecond: integer('Bits a second, in whole cells of 256', 1, 1e12),
    burstBits: integer('Bits that may be burned at once', 256, 1e12),
  },
  ['burstBits'],
)

const clock = (description: string): JsonSchema => ({
  type: 'string',
  pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$',
  description: `${description}, as "HH:MM" in quotes`,
})

const time: JsonSchema = objectSchema(
  'Part of a week',
  {
    days: {
      ...list('Days', { enum: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] }, 7),
      minItems: 1,
      uniqueItems: true,
    },
    from: clock('First minute'),
    to: clock('First minute after it'),
    utcOffset: {
      type: 'string',
      pattern: '^[+-](0[0-9]|1[0-4]):[0-5][0-9]$',
      description: 'Offset from UTC, as "+02:00"',
    },
  },
  ['days', 'from', 'to', 'utcOffset'],
)

const match: JsonSchema = objectSchema(
  'Which requests the rule is for; all that is given must hold',
  {
    master: saeNames,
    slave: saeNames,
    peerSite: { ...list('Sites at the other end', name('Site ID'), 256), minItems: 1 },
    integration: { ...list('What the key is for', name('Integration'), 64), minItems: 1 },
    time,
  },
  ['master', 'slave', 'peerSite', 'integration', 'time'],
)

const sizeBits = (description: string): JsonSchema => ({
  ...integer(`${description} in bits, a multiple of 8`, 8, 255_488),
  multipleOf: 8,
})

const terms: Record<string, JsonSchema> = {
  levels: { ...list('Levels that may be asked for', { enum: levels }, 5), minItems: 1, uniqueItems: true },
  level: { enum: levels, description: 'Level of a request that names none; one of "levels"' },
  hybrid: { enum: ['xor', 'kdf'], description: 'How keys of level hybrid are made, xor by default' },
  trustClasses: {
    ...list('How the key may have come', { enum: ['direct', 'split', 'relayed', 'post-quantum'] }, 4),
    minItems: 1,
    uniqueItems: true,
  },
  minKeySizeBits: sizeBits('Smallest key'),
  maxKeySizeBits: sizeBits('Largest key'),
  maxKeysPerRequest: integer('Keys that one request may ask for', 1, 1_024),
  lifetimeMs: integer('How long a key may wait to be fetched, ms', 1_000, 86_400_000),
  rate,
  maxUnfetchedKeys: integer('Keys of a pair that may still be fetched', 1, 1e9),
  priority: integer('Priority, 9 first', 0, 9),
  whenLow: objectSchema(
    'What happens when the pool runs low',
    {
      response: {
        enum: ['wait', 'expand', 'post-quantum', 'refuse'],
        description: 'wait, refuse, or a lower level where rule and request both allow it',
      },
      waitMs: integer('How long the request waits first, ms', 0, 60_000),
      rate: { ...rate, description: 'How much key of a lowered level each master SAE may have' },
    },
    ['waitMs', 'rate'],
  ),
}

const rule: JsonSchema = objectSchema(
  'A rule; the first that matches decides',
  {
    name: { ...text('What to call the rule'), maxLength: 200 },
    match,
    deny: { type: 'boolean', description: 'True: such requests are refused' },
    ...terms,
  },
  ['match', 'deny', ...Object.keys(terms)],
)

/** JSON Schema (draft 2020-12) of a policy file; editors complete by it. */
export const policySchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'qkdkit policy',
  ...objectSchema(
    'Who may have which keys',
    {
      $schema: text('Where this schema is published'),
      groups: {
        type: 'object',
        description: 'Groups of hosts by name',
        propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' },
        maxProperties: 1_000,
        additionalProperties: objectSchema(
          'Hosts that a rule may name together',
          {
            saes: list(
              'SAE IDs, or their beginning and "*"',
              { type: 'string', pattern: '^[^@*\\s][^*\\s]*\\*?$' },
              10_000,
            ),
            rate,
          },
          ['rate'],
        ),
      },
      defaults: objectSchema('What holds where a rule says nothing', terms, Object.keys(terms)),
      reserves: list(
        'Parts of each pool that only requests of some priority may use',
        objectSchema('A reserve', {
          priority: integer('Lowest priority that may use it', 1, 9),
          share: { type: 'number', minimum: 0, maximum: 0.9, description: 'Share of the full pool, 0 to 0.9' },
        }),
        9,
      ),
      cellsPerSeed: integer('Cells of 256 bits that one seed cell may give for keys of level expanded', 1, 998),
      rules: list('Rules, first match wins', rule, 20_000),
      otherwise: { enum: ['allow', 'deny'], description: 'What becomes of a request that no rule matches' },
    },
    ['$schema', 'groups', 'defaults', 'reserves', 'cellsPerSeed'],
  ),
}
