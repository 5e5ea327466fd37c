import { createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import { ProtocolError, SecretKey } from '../../../lib/index.ts'
import { type Enctype, type KerberosKey, requireKeySize } from '../enctype.ts'
import { decryptCts, encryptCts } from './aes-cts.ts'
import { CIPHERS, type CipherProfile, deriveByCipher, deriveByHash, deriveKey, pseudoRandom } from './key-derivation.ts'

const CONFOUNDER_BYTES = 16
/** Longest text that is taken, in bytes: far more than any message or record. */
const MAX_TEXT_BYTES = 1 << 20
const MAX_ITERATIONS = 1_000_000

/** Options of `encrypt`. */
export interface EncryptOptions {
  /** 16 random bytes ahead of the text; for test vectors alone. */
  readonly confounder?: Uint8Array
}

/** Encrypts and authenticates for one key usage number (RFC 4120, section 7.5.1). */
export function encrypt(
  key: KerberosKey,
  usage: number,
  plaintext: Uint8Array,
  { confounder = randomBytes(CONFOUNDER_BYTES) }: EncryptOptions = {},
): Buffer {
  const profile = CIPHERS[key.enctype]
  return withKeys(key, usage, (encryption, integrity) => {
    const text = Buffer.concat([confounder, plaintext])
    const ciphertext = encryptCts(encryption, text)
    const mac = textMac(profile, integrity, { text, ciphertext })
    text.fill(0)
    return Buffer.concat([ciphertext, mac])
  })
}

/**
 * The text of what `encrypt` made.
 * @throws {ProtocolError} it was altered, or belongs to another key or usage; the three look alike
 */
export function decrypt(key: KerberosKey, usage: number, sealed: Uint8Array): Buffer {
  const profile = CIPHERS[key.enctype]
  const textBytes = sealed.byteLength - profile.macBytes
  if (textBytes < CONFOUNDER_BYTES || textBytes > MAX_TEXT_BYTES) {
    throw new ProtocolError(`An encrypted text of ${sealed.byteLength} bytes is none`)
  }
  return withKeys(key, usage, (encryption, integrity) => {
    const ciphertext = Buffer.from(sealed.subarray(0, textBytes))
    // RFC 8009 authenticates the ciphertext, so that nothing else is ever decrypted.
    if (profile.family === 'sha2') requireMac(profile, integrity, { ciphertext, sealed })
    const text = decryptCts(encryption, ciphertext)
    if (profile.family === 'sha1') requireMac(profile, integrity, { text, ciphertext, sealed })
    return text.subarray(CONFOUNDER_BYTES)
  })
}

/** The keyed checksum of the type (15, 16, 19 or 20) for one key usage number. */
export function checksum(key: KerberosKey, usage: number, data: Uint8Array): Buffer {
  const profile = CIPHERS[key.enctype]
  return withBytes(key, base => {
    const derived = deriveKey(profile, base, usage, 'checksum')
    const mac = createHmac(profile.hash, derived).update(data).digest().subarray(0, profile.macBytes)
    derived.fill(0)
    return Buffer.from(mac)
  })
}

/** The pseudo-random function of the key's type. */
export function prf(key: KerberosKey, input: Uint8Array): Buffer {
  return withBytes(key, base => pseudoRandom(CIPHERS[key.enctype], base, input))
}

/** The checksum type that goes with an encryption type (RFC 3962, section 7; RFC 8009, section 6). */
export function checksumType(enctype: Enctype): number {
  return { 17: 15, 18: 16, 19: 19, 20: 20 }[enctype]
}

/** Options of `stringToKey`. */
export interface StringToKeyOptions {
  /** Realm and principal without separators, unless the KDC says otherwise. */
  readonly salt: string | Uint8Array
  /** PBKDF2 rounds, 1 to 1,000,000. Default 4,096 (RFC 3962) or 32,768 (RFC 8009). */
  readonly iterations?: number
}

/** The key of a password. The caller owns it. */
export function stringToKey(
  enctype: Enctype,
  password: string | Uint8Array,
  { salt, iterations }: StringToKeyOptions,
): KerberosKey {
  const profile = CIPHERS[enctype]
  const sha2 = profile.family === 'sha2'
  const rounds = iterations ?? (sha2 ? 32_768 : 4_096)
  if (!(rounds >= 1 && rounds <= MAX_ITERATIONS)) throw new ProtocolError(`${rounds} rounds of PBKDF2 are out of range`)
  const saltBytes = typeof salt === 'string' ? Buffer.from(salt, 'utf8') : salt
  const name = sha2
    ? `aes${profile.keyBytes * 8}-cts-hmac-${profile.hash === 'sha256' ? 'sha256-128' : 'sha384-192'}\0`
    : ''
  const full = Buffer.concat([Buffer.from(name, 'latin1'), saltBytes])
  const seed = pbkdf2Sync(password, full, rounds, profile.keyBytes, profile.hash)
  const label = Buffer.from('kerberos')
  const derived = sha2 ? deriveByHash(profile, seed, label, profile.keyBytes) : deriveByCipher(seed, label)
  seed.fill(0)
  return { enctype, secret: SecretKey.adopt(derived) }
}

interface MacInput {
  readonly text?: Uint8Array
  readonly ciphertext: Uint8Array
}

/** RFC 3961 authenticates the text, RFC 8009 the cipher state and the ciphertext. */
function textMac(profile: CipherProfile, integrity: Uint8Array, { text, ciphertext }: MacInput): Buffer {
  const mac = createHmac(profile.hash, integrity)
  if (profile.family === 'sha1') mac.update(text!)
  else mac.update(Buffer.alloc(16)).update(ciphertext)
  return mac.digest().subarray(0, profile.macBytes)
}

function requireMac(profile: CipherProfile, integrity: Uint8Array, input: MacInput & { sealed: Uint8Array }): void {
  const found = input.sealed.subarray(input.sealed.byteLength - profile.macBytes)
  if (!timingSafeEqual(textMac(profile, integrity, input), found)) {
    throw new ProtocolError('An encrypted text does not open: it was altered, or sealed under another key')
  }
}

function withKeys<T>(key: KerberosKey, usage: number, use: (encryption: Buffer, integrity: Buffer) => T): T {
  return withBytes(key, base => {
    const encryption = deriveKey(CIPHERS[key.enctype], base, usage, 'encryption')
    const integrity = deriveKey(CIPHERS[key.enctype], base, usage, 'integrity')
    try {
      return use(encryption, integrity)
    } finally {
      encryption.fill(0)
      integrity.fill(0)
    }
  })
}

/** node:crypto takes keys as bytes: the one place at which a Kerberos key is opened for it. */
function withBytes<T>(key: KerberosKey, use: (bytes: Uint8Array) => T): T {
  requireKeySize(key)
  return key.secret.expose('kerberos-cipher', use)
}
