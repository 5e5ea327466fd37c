import { scrypt } from 'node:crypto'
import { bytesOf, SecretKey } from './secret-key.ts'

/** What scrypt costs (RFC 7914): 128 MiB and about half a second, once at each start. */
export interface ScryptCost {
  /** Cost, a power of two. */
  readonly n: number
  /** Block size. */
  readonly r: number
  /** Parallelisation. */
  readonly p: number
}

/** A key of 32 bytes out of a passphrase; the same for the same passphrase, salt and cost. */
export function passphraseKey(passphrase: SecretKey, salt: Uint8Array, { n, r, p }: ScryptCost): Promise<SecretKey> {
  return new Promise((resolve, reject) => {
    scrypt(bytesOf(passphrase), salt, 32, { N: n, r, p, maxmem: 256 * n * r }, (error, key) => {
      if (error === null) resolve(SecretKey.adopt(key))
      else reject(error)
    })
  })
}
