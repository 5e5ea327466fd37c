import { InvalidArgumentError, type SecretKey } from '../../lib/index.ts'

/**
 * The encryption types that are served, by their IANA numbers: AES with 128- or 256-bit keys, after RFC 3962 (17, 18) or
 * RFC 8009 (19, 20). For all four random-to-key is the identity, so a key of the pool is a Kerberos key as it is.
 */
export type Enctype = 17 | 18 | 19 | 20

/** What an encryption type is called, and the size of its keys in bytes. */
export interface EnctypeProfile {
  readonly enctype: Enctype
  /** As `klist -e` and krb5.conf spell it. */
  readonly name: string
  readonly keyBytes: 16 | 32
}

/** Every encryption type that is served, the strongest first. */
export const ENCTYPES: readonly EnctypeProfile[] = [
  { enctype: 20, name: 'aes256-cts-hmac-sha384-192', keyBytes: 32 },
  { enctype: 18, name: 'aes256-cts-hmac-sha1-96', keyBytes: 32 },
  { enctype: 19, name: 'aes128-cts-hmac-sha256-128', keyBytes: 16 },
  { enctype: 17, name: 'aes128-cts-hmac-sha1-96', keyBytes: 16 },
]

/** A key of one encryption type. Who holds it last wipes `secret`. */
export interface KerberosKey {
  readonly enctype: Enctype
  readonly secret: SecretKey
}

/**
 * The encryption type of that number, or of that name in krb5.conf.
 * @throws {InvalidArgumentError} it is not served
 */
export function enctypeProfile(wanted: number | string): EnctypeProfile {
  const profile = ENCTYPES.find(({ enctype, name }) => enctype === wanted || name === wanted)
  if (profile === undefined) {
    const served = ENCTYPES.map(({ enctype, name }) => `${enctype} (${name})`).join(', ')
    throw new InvalidArgumentError(`Encryption type ${wanted} is not served; these are: ${served}`)
  }
  return profile
}

/**
 * A key whose size fits its type. MIT takes one of another size without a word, so it's looked at here.
 * @throws {InvalidArgumentError} it does not
 */
export function requireKeySize({ enctype, secret }: KerberosKey): void {
  const { name, keyBytes } = enctypeProfile(enctype)
  if (secret.sizeBytes === keyBytes) return
  throw new InvalidArgumentError(`A key of ${name} has ${keyBytes} bytes, not ${secret.sizeBytes}`)
}
