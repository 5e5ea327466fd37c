import { ConfigError } from '../errors.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'

/** The error of a file with `faults`: a line for each, with its JSON pointer; `details` has the same as fields. */
export function configError(file: string, faults: readonly SchemaFault[]): ConfigError {
  const lines = faults.map(fault => `${file}: ${fault.path}: ${fault.message}`)
  return new ConfigError(lines.join('\n'), {
    details: faults.map(fault => ({ file, path: fault.path, message: fault.message })),
  })
}

/** The fault with the field's own description appended: what it takes, besides what is wrong. */
export function withExpectation(schema: JsonSchema, fault: SchemaFault): SchemaFault {
  const description = schemaAt(schema, fault.path)?.description
  // A missing or unknown field is named already, and the description would be its parent's.
  if (typeof description !== 'string' || fault.message.startsWith('field "')) return fault
  return { path: fault.path, message: `${fault.message} (${description})` }
}

function schemaAt(schema: JsonSchema, path: string): JsonSchema | undefined {
  let at: JsonSchema | undefined = schema
  for (const step of path.split('/').slice(1)) {
    if (step === '') return at
    const properties = at?.properties as Record<string, JsonSchema> | undefined
    at = properties?.[step.replaceAll('~1', '/').replaceAll('~0', '~')] ?? (at?.items as JsonSchema | undefined)
  }
  return at
}
