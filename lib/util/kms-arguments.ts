import { InvalidArgumentError } from '../errors.ts'
import type {
  GetKeyOptions,
  GetKeyWithIdsOptions,
  KeyReceipt,
  KmsCallOptions,
  SecurityLevel,
  TrustClass,
} from '../interface/kms.ts'
import { requireInteger } from './deadline.ts'
import { meetsLevel } from './security-level.ts'

/** Longest SAE ID in the field, in characters. */
export const MAX_SAE_ID_CHARS = 291

const levels: Record<SecurityLevel, true> = {
  'one-time-pad': true,
  quantum: true,
  hybrid: true,
  expanded: true,
  'post-quantum': true,
}
const trustClasses: Record<TrustClass, true> = {
  direct: true,
  split: true,
  relayed: true,
  'post-quantum': true,
}

/** True for the name of a level, as read from the wire. */
export function isSecurityLevel(value: unknown): value is SecurityLevel {
  return typeof value === 'string' && Object.hasOwn(levels, value)
}

/** True for the name of a trust class, as read from the wire. */
export function isTrustClass(value: unknown): value is TrustClass {
  return typeof value === 'string' && Object.hasOwn(trustClasses, value)
}

/** `value` if it can be an SAE ID: 1 to 291 characters without spaces at the ends or control characters. */
export function requireSaeId(name: string, value: unknown): string {
  // Nearly every ID is of this kind, and the check stands on the path of each request.
  if (typeof value === 'string' && /^[\x21-\x7e]{1,291}$/.test(value)) return value
  const fits = typeof value === 'string' && value.length >= 1 && value.length <= MAX_SAE_ID_CHARS
  if (fits && value.trim() === value && !/\p{Cc}/u.test(value)) return value
  throw new InvalidArgumentError(
    `${name} must have 1 to ${MAX_SAE_ID_CHARS} characters, no control characters and no space at its ends`,
    { details: [{ parameter_name: name, parameter_value: String(value).slice(0, 64) }] },
  )
}

/** Checks what every call to a `Kms` has; gives the time to wait, in milliseconds. */
export function requireTimeout({ timeoutMs = 5_000 }: KmsCallOptions): number {
  return requireInteger('timeoutMs', timeoutMs, { min: 1, max: 2 ** 31 - 1 })
}

/**
 * Checks the arguments of `Kms.getKey` as far as one can without knowing the limits of the KMS, so that misuse fails alike
 * at every backend and before any I/O.
 */
export function checkGetKey(saeId: string, slaveSaeId: string, options: GetKeyOptions): void {
  requireOtherSae('slaveSaeId', saeId, slaveSaeId)
  requireTimeout(options)
  const { number, sizeBits, additionalSlaveSaeIds = [] } = options
  if (number !== undefined) requireInteger('number', number, { min: 1, max: 2 ** 31 - 1 })
  if (sizeBits !== undefined) requireSizeBits(sizeBits)
  requireLevel('level', options.level)
  requireMinLevel(options)
  if (additionalSlaveSaeIds.length > 0) {
    for (const additional of additionalSlaveSaeIds) requireOtherSae('additionalSlaveSaeIds', saeId, additional)
    if (new Set([slaveSaeId, ...additionalSlaveSaeIds]).size <= additionalSlaveSaeIds.length) {
      throw new InvalidArgumentError('additionalSlaveSaeIds must name each SAE once, and not the slave')
    }
  }
  requireExtensions('extensionMandatory', options.extensionMandatory)
  requireExtensions('extensionOptional', options.extensionOptional)
}

/** Checks the arguments of `Kms.getKeyWithIds`; an ID is given twice also where it differs only in upper and lower case. */
export function checkGetKeyWithIds(
  masterSaeId: string,
  keyIds: readonly string[],
  options: GetKeyWithIdsOptions,
): void {
  requireSaeId('masterSaeId', masterSaeId)
  requireTimeout(options)
  requireLevel('minLevel', options.minLevel)
  if (!Array.isArray(keyIds) || keyIds.length === 0 || keyIds.some(id => typeof id !== 'string' || id === '')) {
    throw new InvalidArgumentError('keyIds must be a list of at least one key_ID')
  }
  if (new Set(keyIds.map(id => id.toLowerCase())).size < keyIds.length) {
    throw new InvalidArgumentError('keyIds must name each key once')
  }
}

/** `peerSaeId` if it can be the other SAE of `saeId`. */
export function requireOtherSae(name: string, saeId: string, peerSaeId: unknown): string {
  const peer = requireSaeId(name, peerSaeId)
  if (peer === saeId) throw new InvalidArgumentError(`${name} must be another SAE than ${saeId} itself`)
  return peer
}

function requireLevel(name: string, level: unknown): void {
  if (level === undefined || isSecurityLevel(level)) return
  throw new InvalidArgumentError(`${name} must be one of ${Object.keys(levels).join(', ')}`, {
    details: [{ parameter_name: name, parameter_value: String(level), allowed_values: Object.keys(levels) }],
  })
}

function requireMinLevel({ level, minLevel }: GetKeyOptions): void {
  requireLevel('minLevel', minLevel)
  if (level === undefined || minLevel === undefined || meetsLevel(level, minLevel)) return
  throw new InvalidArgumentError(`Keys of level ${level} do not meet minLevel ${minLevel}; name a level that does`, {
    details: [{ parameter_name: 'minLevel', parameter_value: minLevel }],
  })
}

function requireSizeBits(sizeBits: unknown): void {
  if (requireInteger('sizeBits', sizeBits, { min: 1, max: 2 ** 31 - 1 }) % 8 === 0) return
  throw new InvalidArgumentError('size shall be a multiple of 8', {
    details: [{ parameter_name: 'sizeBits', parameter_value: String(sizeBits), allowed_values: 'multiples of 8' }],
  })
}

function requireExtensions(name: string, entries: unknown): void {
  const isEntry = (entry: unknown) => typeof entry === 'object' && entry !== null && !Array.isArray(entry)
  if (entries === undefined || (Array.isArray(entries) && entries.every(isEntry))) return
  throw new InvalidArgumentError(`${name} must be a list of objects`)
}

/**
 * What a host says of its keys, before anything is sent.
 * @throws {InvalidArgumentError} there are none or too many, or one is not whole
 */
export function checkReceipts(saeId: string, peerSaeId: string, receipts: readonly KeyReceipt[]): void {
  requireOtherSae('peerSaeId', saeId, peerSaeId)
  requireInteger('number of receipts', receipts.length, { min: 1, max: 64 })
  for (const { keyId, state, use, atMs } of receipts) {
    if (typeof keyId !== 'string' || keyId === '' || keyId.length > 64)
      throw new InvalidArgumentError('keyId of a receipt must have 1 to 64 characters')
    if (state !== 'in-use' && state !== 'retired')
      throw new InvalidArgumentError(`state of a receipt must be "in-use" or "retired", not ${JSON.stringify(state)}`)
    if (typeof use !== 'string' || !/^[a-z0-9-]{1,64}$/.test(use))
      throw new InvalidArgumentError('use of a receipt must have 1 to 64 of a-z, 0-9 and "-"')
    if (atMs !== undefined && !(Number.isFinite(atMs) && atMs >= 0 && atMs < 8.64e15))
      throw new InvalidArgumentError('atMs of a receipt must be a time in milliseconds')
  }
}
