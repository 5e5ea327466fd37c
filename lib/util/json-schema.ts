import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'

/** A JSON Schema (draft 2020-12) as a plain object. */
export type JsonSchema = Record<string, unknown>

/** One thing that is wrong: where, and what to do about it. */
export interface SchemaFault {
  /** JSON pointer of the field, `/` for the document. */
  readonly path: string
  readonly message: string
}

export type SchemaCheck<T> = (value: unknown) => { ok: true; value: T } | { ok: false; faults: SchemaFault[] }

const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true, useDefaults: true })

/**
 * A check by `schema`, which is compiled at its first use: a command loads many and uses few. The check fills in defaults in
 * place and names every fault.
 */
export function compileSchema<T>(schema: JsonSchema): SchemaCheck<T> {
  let compiled: ValidateFunction | undefined
  return value => {
    compiled ??= ajv.compile(schema)
    if (compiled(value)) return { ok: true, value: value as T }
    return { ok: false, faults: (compiled.errors ?? []).map(toFault) }
  }
}

function toFault(error: ErrorObject): SchemaFault {
  const path = error.instancePath === '' ? '/' : error.instancePath
  const params = error.params as Record<string, unknown>
  switch (error.keyword) {
    case 'required':
      return { path, message: `field "${params.missingProperty}" is missing` }
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return {
        path,
        message: `field "${params.additionalProperty ?? params.unevaluatedProperty}" is not known; remove it or check its spelling`,
      }
    case 'enum':
      return { path, message: `must be one of ${JSON.stringify(params.allowedValues)}` }
    case 'const':
      return { path, message: `must be ${JSON.stringify(params.allowedValue)}` }
    default:
      return { path, message: error.message ?? error.keyword }
  }
}

/** The faults in one line of words. */
export function describeFaults(faults: readonly SchemaFault[]): string {
  return faults.map(fault => `${fault.path}: ${fault.message}`).join('; ')
}
