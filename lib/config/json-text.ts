import { ConfigError } from '../errors.ts'
import { findJsonFault } from '../util/json-fault.ts'

/**
 * The value of a JSON file. Stricter than `JSON.parse`: a member that stands twice in an object is an error too.
 * @throws {ConfigError} names `file`, line and column
 */
export function parseJsonText(file: string, text: string): unknown {
  const withoutMark = text.startsWith('\ufeff') ? text.slice(1) : text
  const fault = findJsonFault(withoutMark)
  if (fault === undefined) return JSON.parse(withoutMark)
  throw new ConfigError(`${file}:${fault.line}:${fault.column}: not valid JSON: ${fault.message}`, {
    details: [{ file, line: fault.line, column: fault.column, message: fault.message }],
  })
}
