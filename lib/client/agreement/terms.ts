import { InvalidArgumentError } from '../../errors.ts'
import type { Kms, SecurityLevel } from '../../interface/kms.ts'
import type { AbortOptions } from '../../interface/lifecycle.ts'
import type { MessageChannel } from '../../interface/message-channel.ts'
import { requireInteger } from '../../util/deadline.ts'
import { isSecurityLevel, requireOtherSae, requireSaeId } from '../../util/kms-arguments.ts'

/** Fewer bits could be guessed from the proofs. */
export const MIN_SIZE_BITS = 256
/** More than one hash has would be expansion: the bits of a longer key would not all come from fresh key. */
export const MAX_SIZE_BITS = 512
/** Printable ASCII, no space at the ends. */
export const PURPOSE = /^[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?$/

const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** Options of `initiateAgreement`. */
export interface InitiateAgreementOptions extends AbortOptions {
  /** The SAE to agree with; must be the one at the other end of the channel. */
  readonly peerSaeId: string
  /**
   * What the key is for, such as `strongswan ppk`: 1 to 128 printable ASCII characters. Both ends must say the same, and
   * keys for two purposes have nothing in common.
   */
  readonly purpose: string
  /** Size of the agreed key in bits, a multiple of 8 from 256 to 512. Default 256. */
  readonly sizeBits?: number
  /** Level of the key, any but `one-time-pad`: what is derived is no pad. Default the policy's. */
  readonly level?: SecurityLevel
  /** For the whole agreement, the look-up in the KMS included, in milliseconds; a positive integer. Default 5,000. */
  readonly timeoutMs?: number
}

/** Options of `acceptAgreement`. */
export interface AcceptAgreementOptions extends AbortOptions {
  /** The purpose that is served here, or several of them; the agreed key says which one it is for. */
  readonly purpose: string | readonly string[]
  /** Levels that are taken; a KMS that does not tell the level is refused then. Default any. */
  readonly allowedLevels?: readonly SecurityLevel[]
  /** From the offer to the end, the look-up in the KMS included, in milliseconds; a positive integer. Default 5,000. */
  readonly timeoutMs?: number
  /** How long to wait for the offer, in milliseconds; a positive integer. Default as `timeoutMs`. */
  readonly offerTimeoutMs?: number
}

/** What an initiator works with, checked. */
export interface InitiatorTerms {
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly purpose: string
  readonly sizeBits: number
  readonly level: SecurityLevel | undefined
  readonly timeoutMs: number
}

/** What a responder works with, checked. */
export interface ResponderTerms {
  readonly masterSaeId: string
  readonly slaveSaeId: string
  readonly purposes: ReadonlySet<string>
  readonly allowedLevels: ReadonlySet<SecurityLevel> | undefined
  readonly timeoutMs: number
  readonly offerTimeoutMs: number
}

/** @throws {InvalidArgumentError} an option can't be right, or the channel leads to somebody else; names it */
export function initiatorTerms(kms: Kms, channel: MessageChannel, options: InitiateAgreementOptions): InitiatorTerms {
  const { sizeBits = MIN_SIZE_BITS, level, timeoutMs } = options
  const masterSaeId = requireSaeId('kms.saeId', kms.saeId)
  const slaveSaeId = requireOtherSae('peerSaeId', masterSaeId, options.peerSaeId)
  if (channel.peerId !== slaveSaeId) {
    throw new InvalidArgumentError(`peerSaeId is ${slaveSaeId}, but the channel leads to ${channel.peerId}`)
  }
  if (requireInteger('sizeBits', sizeBits, { min: MIN_SIZE_BITS, max: MAX_SIZE_BITS }) % 8 !== 0) {
    throw new InvalidArgumentError('sizeBits must be a multiple of 8')
  }
  if (level !== undefined) requireLevel('level', level)
  const purpose = requirePurpose('purpose', options.purpose)
  return { masterSaeId, slaveSaeId, purpose, sizeBits, level, timeoutMs: requireTime('timeoutMs', timeoutMs) }
}

/** @throws {InvalidArgumentError} an option can't be right; names it */
export function responderTerms(kms: Kms, channel: MessageChannel, options: AcceptAgreementOptions): ResponderTerms {
  const { purpose, allowedLevels, timeoutMs } = options
  const slaveSaeId = requireSaeId('kms.saeId', kms.saeId)
  const masterSaeId = requireOtherSae('channel.peerId', slaveSaeId, channel.peerId)
  const purposes = new Set([purpose].flat().map(each => requirePurpose('purpose', each)))
  if (purposes.size === 0) throw new InvalidArgumentError('purpose must name at least one')
  for (const level of allowedLevels ?? []) requireLevel('allowedLevels', level)
  return {
    masterSaeId,
    slaveSaeId,
    purposes,
    allowedLevels: allowedLevels && new Set(allowedLevels),
    timeoutMs: requireTime('timeoutMs', timeoutMs),
    offerTimeoutMs: requireTime('offerTimeoutMs', options.offerTimeoutMs ?? timeoutMs),
  }
}

function requirePurpose(name: string, value: unknown): string {
  if (typeof value === 'string' && PURPOSE.test(value)) return value
  throw new InvalidArgumentError(`${name} must have 1 to 128 printable ASCII characters and no space at its ends`)
}

function requireLevel(name: string, level: unknown): void {
  if (level === 'one-time-pad') {
    throw new InvalidArgumentError(
      `${name} can't be one-time-pad: an agreed key is derived. Take a pad with kms.getKey`,
    )
  }
  if (!isSecurityLevel(level)) throw new InvalidArgumentError(`${name} must be a security level, not ${String(level)}`)
}

function requireTime(name: string, value = 5_000): number {
  return requireInteger(name, value, { min: 1, max: MAX_TIMEOUT_MS })
}
