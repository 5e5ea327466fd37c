import type { JsonSchema } from '../util/json-schema.ts'

/** How site IDs and link IDs look. */
export const name = (description: string): JsonSchema => ({
  type: 'string',
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  description: `${description}: 1 to 64 letters, digits, ".", "_" or "-"`,
})

/** ETSI names are free text; equipment exists that uses up to 291 characters. */
export const etsiId = (description: string): JsonSchema => ({
  type: 'string',
  pattern: '^[\\x21-\\x7e]{1,291}$',
  description: `${description}: 1 to 291 printable ASCII characters without spaces`,
})

/** Any text but none. */
export const text = (description: string): JsonSchema => ({ type: 'string', minLength: 1, description })

/** An integer within limits, which its description names. */
export const integer = (description: string, minimum: number, maximum: number, fallback?: number): JsonSchema => ({
  type: 'integer',
  minimum,
  maximum,
  ...(fallback === undefined ? {} : { default: fallback }),
  description: `${description}: an integer from ${minimum} to ${maximum}`,
})

/** An object that knows its fields; `optional` ones may be missing. */
export function objectSchema(
  description: string,
  properties: Record<string, JsonSchema>,
  optional: readonly string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter(key => !optional.includes(key))
  return { type: 'object', description, properties, required, additionalProperties: false }
}

/** Where a server listens. */
export const listenSchema = (description: string): JsonSchema =>
  objectSchema(
    description,
    {
      host: { ...text('Address or name of a local interface'), default: '127.0.0.1' },
      port: integer('TCP port, 0 for a free one', 0, 65_535),
    },
    ['host'],
  )

/** A list of at most `maxItems`. */
export const list = (description: string, items: JsonSchema, maxItems: number): JsonSchema => ({
  type: 'array',
  description,
  items,
  maxItems,
})
