import { readFile, stat } from 'node:fs/promises'
import { ConfigError } from '../errors.ts'
import type { AbortOptions } from '../interface/lifecycle.ts'
import type { PolicyFile } from '../interface/policy.ts'
import { compileSchema, type SchemaFault } from '../util/json-schema.ts'
import { withExpectation } from './config-fault.ts'
import { checkPolicy } from './policy-checks.ts'
import { policySchema } from './policy-schema.ts'
import { type PolicyText, parsePolicyText } from './policy-text.ts'
import { unreadable } from './tls-files.ts'

/** A policy that was read and checked. */
export interface LoadedPolicy {
  readonly file: PolicyFile
  /** `line:column` of the field at a JSON pointer. */
  placeOf(pointer: string): string
}

/** Room for some ten thousand rules. */
const MAX_POLICY_BYTES = 16 * 1024 * 1024

const checkSchema = compileSchema<PolicyFile>(policySchema)

/**
 * Reads a policy file, JSON or YAML.
 * @throws {ConfigError} every fault at once, each with file, line, JSON pointer, what is wrong and the fix
 */
export async function loadPolicyFile(path: string, { signal }: AbortOptions = {}): Promise<LoadedPolicy> {
  try {
    if ((await stat(path)).size > MAX_POLICY_BYTES)
      throw new ConfigError(`${path}: larger than ${MAX_POLICY_BYTES} bytes`)
    return parsePolicy(path, await readFile(path, { encoding: 'utf8', ...(signal && { signal }) }))
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof ConfigError) throw error
    throw new ConfigError(unreadable(path, error), { cause: error })
  }
}

/**
 * A policy from its text; `path` is what errors call it.
 * @throws {ConfigError} every fault at once, as `loadPolicyFile`
 */
export function parsePolicy(path: string, source: string): LoadedPolicy {
  const text = parsePolicyText(path, source)
  const checked = checkSchema(text.value)
  if (!checked.ok)
    throw policyError(
      path,
      text,
      checked.faults.map(fault => withExpectation(policySchema, fault)),
    )
  const faults = checkPolicy(checked.value)
  if (faults.length > 0) throw policyError(path, text, faults)
  return { file: checked.value, placeOf: pointer => text.placeOf(pointer) }
}

function policyError(file: string, text: PolicyText, faults: readonly SchemaFault[]): ConfigError {
  const placed = faults.map(({ path, message }) => ({ file, place: text.placeOf(path), path, message }))
  return new ConfigError(placed.map(fault => `${file}:${fault.place}: ${fault.path}: ${fault.message}`).join('\n'), {
    details: placed,
  })
}
