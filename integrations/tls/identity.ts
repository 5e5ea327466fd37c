import { InvalidArgumentError } from '../../lib/index.ts'

/** What every TLS stack takes (RFC 4279 floor; OpenSSL 1.1.1 takes no more). */
export const MAX_IDENTITY_BYTES = 128
/** A key_ID is a UUID (ETSI GS QKD 014). */
const UUID_CHARS = 36
/** Longest SAE ID that leaves room for the rest of the identity. */
export const MAX_SAE_ID_BYTES = MAX_IDENTITY_BYTES - 'q1~'.length - '~'.length - UUID_CHARS

// No colon, comma, space or leading '#': the password files of stunnel, GnuTLS and mosquitto split at them. No NUL: OpenSSL
// cuts an identity there without a word.
const SAE_ID = /^[A-Za-z0-9._@/-]+$/
const IDENTITY = /^q1~([A-Za-z0-9._@/-]+)~([A-Za-z0-9._@/-]+)$/
const UUID = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/

/**
 * Names one key: whose (the master SAE's, which the slave's KMS has to be told) and which. Travels in clear, as
 * `q1~<masterSaeId>~<key_ID>`.
 */
export interface PskIdentity {
  readonly masterSaeId: string
  /** In the one spelling that names it: a UUID in lower case. */
  readonly keyId: string
}

/** `saeId` if it fits into an identity; otherwise throws, naming the option and the way out. */
export function requireSaeId(name: string, saeId: unknown): string {
  if (typeof saeId === 'string' && SAE_ID.test(saeId) && saeId.length <= MAX_SAE_ID_BYTES) return saeId
  throw new InvalidArgumentError(
    `${name} can't stand in a TLS identity: give the SAE an ID of 1 to ${MAX_SAE_ID_BYTES} characters out of A-Z a-z 0-9 . _ @ / -`,
    { details: [{ parameter_name: name, parameter_value: String(saeId), allowed_values: SAE_ID.source }] },
  )
}

/**
 * The identity as it goes into the ClientHello.
 * @throws {InvalidArgumentError} it would be longer than 128 bytes or have a character outside the charset
 */
export function formatIdentity({ masterSaeId, keyId }: PskIdentity): string {
  const identity = `q1~${masterSaeId}~${keyId}`
  if (identity.length <= MAX_IDENTITY_BYTES && IDENTITY.test(identity)) return identity
  throw new InvalidArgumentError(`The key_ID ${keyId} of ${masterSaeId} can't stand in a TLS identity`)
}

/** True for an identity that claims to be one of ours, well-formed or not: such a client wants its key or nothing. */
export function isOurs(identity: Buffer): boolean {
  return identity.subarray(0, 3).toString('latin1') === 'q1~'
}

/** The key that an identity names; undefined for everything that is not exactly of our form. */
export function parseIdentity(identity: Buffer): PskIdentity | undefined {
  if (identity.byteLength > MAX_IDENTITY_BYTES) return undefined
  const match = IDENTITY.exec(identity.toString('latin1'))
  if (match === null) return undefined
  const [, masterSaeId = '', keyId = ''] = match
  return { masterSaeId, keyId: canonicalKeyId(keyId) }
}

/** One spelling for each UUID, so that a key does not look like several; what is no UUID stays as it is. */
export function canonicalKeyId(keyId: string): string {
  return UUID.test(keyId) ? keyId.toLowerCase() : keyId
}
