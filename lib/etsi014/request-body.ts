import { InvalidArgumentError } from '../errors.ts'
import type { HttpRequest } from '../interface/http.ts'
import { findJsonFault } from '../util/json-fault.ts'
import { describeFaults, type SchemaCheck } from '../util/json-schema.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

/** True unless a body is there and says that it is something else than JSON. */
export function acceptsAsJson({ headers, body }: HttpRequest): boolean {
  const type = headers['content-type']
  return body.byteLength === 0 || type === undefined || /^application\/json *(;|$)/i.test(type)
}

/** The JSON value of a body that passes `check`. */
export function readJsonBody<T>(body: Uint8Array, check: SchemaCheck<T>): T {
  const checked = check(parseJson(body))
  if (checked.ok) return checked.value
  throw new InvalidArgumentError(`The request body is not right: ${describeFaults(checked.faults)}`, {
    details: checked.faults.map(({ path, message }) => ({ parameter_name: path, allowed_values: message })),
  })
}

/** Stricter than `JSON.parse`: of a member that stands twice nobody can tell which one was meant. */
function parseJson(body: Uint8Array): unknown {
  let text: string
  try {
    text = decoder.decode(body)
  } catch (error) {
    throw new InvalidArgumentError('The request body is not JSON in UTF-8', { cause: error })
  }
  const fault = findJsonFault(text)
  if (fault === undefined) return withSpelling(JSON.parse(text), text)
  const { line, column, message } = fault
  throw new InvalidArgumentError(
    `The request body is not JSON: line ${line}, column ${column}: ${message.slice(0, 200)}`,
  )
}

/**
 * The members of the body that are numbers in exponent notation become strings, so that `1e2` is refused where an integer is
 * asked for: parsed, it looks like 100. Numbers within extensions stay what they are.
 */
function withSpelling(value: unknown, text: string): unknown {
  if (typeof value !== 'object' || value === null || !/\d[eE]/.test(text)) return value
  const members = value as Record<string, unknown>
  const spelled = JSON.parse(exponentsQuoted(text)) as Record<string, unknown>
  for (const [name, member] of Object.entries(members)) {
    if (typeof member === 'number') members[name] = spelled[name]
  }
  return members
}

function exponentsQuoted(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?[eE][+-]?\d+/g, token =>
    token.startsWith('"') ? token : `"${token}"`,
  )
}
