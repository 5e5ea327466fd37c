import { InvalidArgumentError } from '../errors.ts'
import type { HttpRequest } from '../interface/http.ts'
import type { GetKeyOptions, GetKeyWithIdsOptions, SecurityLevel } from '../interface/kms.ts'
import { isSecurityLevel } from '../util/kms-arguments.ts'
import {
  checkKeyIds,
  checkKeyRequest,
  type EtsiKeyRequest,
  INTEGRATION_EXTENSION,
  LEVEL_EXTENSION,
  MESSAGES,
  MIN_LEVEL_EXTENSION,
} from './models.ts'
import { readJsonBody } from './request-body.ts'

/** Items that a GET may have in its query; a POST has them in its body. */
const QUERY_ITEMS = ['number', 'size', 'key_ID']

/** The options of `getKey` that a request for enc_keys stands for (ETSI GS QKD 014 V1.1.1, clauses 5.4 and 6.2). */
export function readKeyRequest(request: HttpRequest, query: string, { ignoreSize = false } = {}): GetKeyOptions {
  const checkSize = ignoreSize ? () => undefined : requireWholeBytes
  if (request.method === 'GET') {
    const items = readQuery(request, query, ['number', 'size'])
    return { number: decimal('number', items.get('number')), sizeBits: checkSize(decimal('size', items.get('size'))) }
  }
  refuseQueryItems(query)
  // A POST without a body asks for the defaults, whatever its Content-Type says.
  const model: EtsiKeyRequest = request.body.byteLength === 0 ? {} : readJsonBody(request.body, checkKeyRequest)
  return {
    number: model.number ?? undefined,
    sizeBits: checkSize(model.size ?? undefined),
    additionalSlaveSaeIds: model.additional_slave_SAE_IDs ?? undefined,
    ...readMandatory(model.extension_mandatory ?? []),
    integration: readIntegration(model.extension_optional ?? []),
    extensionOptional: model.extension_optional ?? undefined,
  }
}

/** The key_IDs that a request for dec_keys asks for, as they were sent (clauses 5.5 and 6.4), and what will do. */
export function readKeyIds(
  request: HttpRequest,
  query: string,
): { keyIds: string[] } & Pick<GetKeyWithIdsOptions, 'minLevel'> {
  if (request.method === 'GET') {
    const keyId = readQuery(request, query, ['key_ID']).get('key_ID')
    if (keyId === null || keyId === '') throw new InvalidArgumentError('The query item key_ID is missing')
    return { keyIds: [keyId] }
  }
  refuseQueryItems(query)
  const { key_IDs: entries, key_IDs_extension: extension } = readJsonBody(request.body, checkKeyIds)
  const minLevel = readLevel(MIN_LEVEL_EXTENSION, extension ? [extension] : [])
  return { keyIds: entries.map(entry => entry.key_ID), ...(minLevel && { minLevel }) }
}

function readQuery({ body }: HttpRequest, query: string, allowed: readonly string[]): URLSearchParams {
  if (body.byteLength > 0) throw new InvalidArgumentError('A GET request has no body: use POST')
  const items = new URLSearchParams(query)
  for (const name of items.keys()) {
    if (!allowed.includes(name)) {
      throw new InvalidArgumentError(`A GET request takes only ${allowed.join(' and ')} in its query: use POST`, {
        details: [{ parameter_name: name.slice(0, 64), allowed_values: allowed }],
      })
    }
    if (items.getAll(name).length > 1) {
      throw new InvalidArgumentError(`${name} is given more than once: use POST`, {
        details: [{ parameter_name: name, parameter_value: items.getAll(name).slice(0, 8) }],
      })
    }
  }
  return items
}

/** Passing these over in silence would deliver something else than was asked for. */
function refuseQueryItems(query: string): void {
  if (query === '') return
  const items = new URLSearchParams(query)
  const name = QUERY_ITEMS.find(item => items.has(item))
  if (name !== undefined) throw new InvalidArgumentError(`A POST request has ${name} in its body, not in the query`)
}

function decimal(name: string, value: string | null | undefined): number | undefined {
  if (value === null || value === undefined) return undefined
  if (/^[0-9]{1,10}$/.test(value) && Number(value) >= 1) return Number(value)
  throw new InvalidArgumentError(`${name} must be a positive integer in decimal digits`, {
    details: [{ parameter_name: name, parameter_value: value.slice(0, 64), allowed_values: 'positive integers' }],
  })
}

function requireWholeBytes(sizeBits: number | undefined): number | undefined {
  if (sizeBits === undefined || sizeBits % 8 === 0) return sizeBits
  throw new InvalidArgumentError(MESSAGES.sizeNotMultipleOf8, {
    details: [{ parameter_name: 'size', parameter_value: sizeBits, allowed_values: 'multiples of 8' }],
  })
}

/** What the host says that the key is for. An optional extension that makes no sense is passed over, as the standard has it. */
function readIntegration(entries: readonly Record<string, unknown>[]): string | undefined {
  const named = entries.find(entry => Object.hasOwn(entry, INTEGRATION_EXTENSION))?.[INTEGRATION_EXTENSION]
  return typeof named === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(named) ? named : undefined
}

/** The levels that are asked for; every other mandatory extension is one that we don't know. */
function readMandatory(entries: readonly Record<string, unknown>[]): Pick<GetKeyOptions, 'level' | 'minLevel'> {
  const names = entries.flatMap(entry => Object.keys(entry))
  const unknown = names.filter(name => name !== LEVEL_EXTENSION && name !== MIN_LEVEL_EXTENSION)
  if (unknown.length > 0) {
    throw new InvalidArgumentError(MESSAGES.mandatoryUnknown, {
      details: unknown
        .slice(0, 16)
        .map(name => ({ extension_mandatory_unsupported: `${name.slice(0, 64)} is not supported` })),
    })
  }
  const level = readLevel(LEVEL_EXTENSION, entries)
  const minLevel = readLevel(MIN_LEVEL_EXTENSION, entries)
  return { ...(level && { level }), ...(minLevel && { minLevel }) }
}

function readLevel(name: string, entries: readonly Record<string, unknown>[]): SecurityLevel | undefined {
  const levels = new Set(entries.filter(entry => Object.hasOwn(entry, name)).map(entry => entry[name]))
  const [level] = levels
  if (levels.size === 0) return undefined
  if (levels.size === 1 && isSecurityLevel(level)) return level
  throw new InvalidArgumentError(MESSAGES.mandatoryUnmet, {
    details: [{ parameter_name: name, parameter_value: String(level).slice(0, 64) }],
  })
}
