import { ConfigError } from '../errors.ts'
import type { JsonSchema, SchemaFault } from '../util/json-schema.ts'
import { nearestName } from '../util/nearest-name.ts'

/** The error of a file with `faults`: a line for each, with its JSON pointer; `details` has the same as fields. */
export function configError(file: string, faults: readonly SchemaFault[]): ConfigError {
  const lines = faults.map(fault => `${file}: ${fault.path}: ${fault.message}`)
  return new ConfigError(lines.join('\n'), {
    details: faults.map(fault => ({ file, path: fault.path, message: fault.message })),
  })
}

/** The fault with the field's own description appended: what it takes, besides what is wrong. */
export function withExpectation(schema: JsonSchema, fault: SchemaFault): SchemaFault {
  const at = schemaAt(schema, fault.path)
  const unknown = /^field "(.*)" is not known/.exec(fault.message)?.[1]
  const meant = unknown === undefined ? undefined : nearestName(unknown, Object.keys(at?.properties ?? {}))
  if (meant !== undefined)
    return { path: fault.path, message: `field "${unknown}" is not known; did you mean "${meant}"?` }
  const description = at?.description
  // A missing or unknown field is named already, and the description would be its parent's.
  if (typeof description !== 'string' || fault.message.startsWith('field "')) return fault
  return { path: fault.path, message: `${fault.message} (${description})` }
}

function schemaAt(schema: JsonSchema, path: string): JsonSchema | undefined {
  let at: JsonSchema | undefined = schema
  for (const step of path.split('/').slice(1)) {
    if (step === '') return at
    const properties = at?.properties as Record<string, JsonSchema> | undefined
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    at = properties?.[name] ?? ((at?.items ?? at?.additionalProperties) as JsonSchema | undefined)
    if (typeof at !== 'object') return undefined
  }
  return at
}
