import { timingSafeEqual } from 'node:crypto'
import { type AbortOptions, hmacTag, type Key, type Kms, QkdError, type SecretKey } from '../../../lib/index.ts'
import { parsePrincipal } from '../principal.ts'

const KEY_BITS = 256
/** A key_ID as ETSI GS QKD 014 prints it, and 32 bytes in base64url: 80 characters of RADIUS's 128. */
const PASSWORD = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([A-Za-z0-9_-]{43})$/

/** Options of `drawOneTimePassword`. */
export interface OneTimePasswordOptions extends AbortOptions {
  /** The SAE of the KDC's host, which checks the password. */
  readonly peerSaeId: string
  /** Who logs in, as `bob@A.EXAMPLE`. */
  readonly principal: string
  /** How long to wait for the KMS, in milliseconds; a positive integer. Default 5000. */
  readonly timeoutMs?: number
}

/**
 * A password for one login by `kinit -T`, made of a fresh key of the KMS: the key's name, and a proof that its holder has
 * it. The proof tells nothing of the key, holds for this principal alone, and once.
 * @throws {InvalidArgumentError} the principal's name can't be right; nothing was consumed
 * @throws {QkdError} the KMS gave no key
 */
export async function drawOneTimePassword(
  kms: Kms,
  { peerSaeId, principal, timeoutMs = 5000, signal }: OneTimePasswordOptions,
): Promise<string> {
  parsePrincipal(principal)
  const keys = await kms.getKey(peerSaeId, { number: 1, sizeBits: KEY_BITS, timeoutMs, signal })
  try {
    const { keyId, secret } = keys[0]!
    return `${keyId.toLowerCase()}.${proofOf(secret, { keyId, principal }).toString('base64url')}`
  } finally {
    wipeAll(keys)
  }
}

/** Why a password is refused, in words for the log; the user is never told. */
export type OtpRefusal = 'unknown-user' | 'malformed' | 'unknown-or-used-key' | 'wrong-proof'

/** What becomes of one password. A rejection means that the KMS could not be asked. */
export type OtpVerifier = (
  login: { readonly principal: string; readonly password: string },
  options?: AbortOptions,
) => Promise<'accepted' | OtpRefusal>

/** Options of `createOtpVerifier`. */
export interface OtpVerifierOptions {
  /** The SAE whose keys log this principal in, as `bob@A.EXAMPLE`; undefined for one that may not log in this way. */
  readonly saeOf: (principal: string) => string | undefined
  /** How long to wait for the KMS, in milliseconds; a positive integer. Default 4000: less than a KDC waits for RADIUS. */
  readonly timeoutMs?: number
}

/**
 * Checks passwords at the KDC's end. The KMS gives each key once, so that a password is of no use a second time, wherever
 * and whenever it is shown; a made-up name of a key is refused there and uses nothing up.
 */
export function createOtpVerifier(kms: Kms, { saeOf, timeoutMs = 4000 }: OtpVerifierOptions): OtpVerifier {
  return async ({ principal, password }, { signal } = {}) => {
    const saeId = saeOf(principal)
    if (saeId === undefined) return 'unknown-user'
    const [, keyId, proof] = PASSWORD.exec(password) ?? []
    if (keyId === undefined || proof === undefined) return 'malformed'
    const keys = await fetchKeys(kms.getKeyWithIds(saeId, [keyId], { timeoutMs, signal }))
    if (keys === undefined) return 'unknown-or-used-key'
    try {
      const expected = proofOf(keys[0]!.secret, { keyId, principal })
      return timingSafeEqual(expected, Buffer.from(proof, 'base64url')) ? 'accepted' : 'wrong-proof'
    } finally {
      wipeAll(keys)
    }
  }
}

/** The keys; undefined where the KMS says that there is none for us. */
async function fetchKeys(asking: Promise<Key[]>): Promise<Key[] | undefined> {
  try {
    return await asking
  } catch (error) {
    const denied = ['ERR_QKD_KEY_NOT_FOUND', 'ERR_QKD_UNAUTHORIZED', 'ERR_QKD_INVALID_ARGUMENT']
    if (error instanceof QkdError && denied.includes(error.code)) return undefined
    throw error
  }
}

function proofOf(secret: SecretKey, { keyId, principal }: { keyId: string; principal: string }): Buffer {
  return hmacTag('sha256', secret, Buffer.from(`qkdkit/1 krb5-otp\0${keyId.toLowerCase()}\0${principal}`))
}

function wipeAll(keys: readonly Key[]): void {
  for (const { secret } of keys) secret.wipe()
}
