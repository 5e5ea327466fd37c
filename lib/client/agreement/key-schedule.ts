import { createHash, timingSafeEqual } from 'node:crypto'
import type { SecurityLevel } from '../../interface/kms.ts'
import { hkdf, hmacTag } from '../../key/hkdf.ts'
import { lp } from '../../key/lp.ts'
import type { SecretKey } from '../../key/secret-key.ts'

/** The two ends of an agreement. */
export type AgreementRole = 'initiator' | 'responder'

/** What both ends have said and heard; where they differ in one bit, no proof and no key of theirs are equal. */
export interface Transcript {
  /** The offer as it went over the channel: roles, SAE IDs, purpose, size, and the initiator's nonce. */
  readonly offer: Uint8Array
  /** The answer to it, with the responder's nonce. */
  readonly ready: Uint8Array
  readonly keyId: string
  readonly level: SecurityLevel | undefined
}

/**
 * What comes of one key of the KMS in one agreement: a key for the proofs of each role and the agreed key, by HKDF with
 * SHA-512 (RFC 5869) and an info of its own for each, so that no proof says anything of the agreed key.
 */
export class KeySchedule {
  readonly #secret: SecretKey
  readonly #hash: Buffer

  /** The secret stays the caller's. */
  constructor(secret: SecretKey, { offer, ready, keyId, level }: Transcript) {
    this.#secret = secret
    this.#hash = createHash('sha512')
      .update(lp('qkdkit/1 agreement', offer, ready, keyId, level ?? ''))
      .digest()
  }

  /** Proves to the other end that the one in `role` has the key and took part in this conversation. */
  proof(role: AgreementRole): Buffer {
    using key = hkdf(this.#secret, { hash: 'sha512', info: this.#info(`${role}'s proof`), sizeBytes: 32 })
    return hmacTag('sha256', key, this.#hash)
  }

  /** True if `proof` is what the end in `role` must have sent. */
  verify(role: AgreementRole, proof: Uint8Array): boolean {
    const expected = this.proof(role)
    return proof.byteLength === expected.byteLength && timingSafeEqual(proof, expected)
  }

  /** The key that the application gets, as long as the one of the KMS. To be called once both ends are proven. */
  agreedKey(): SecretKey {
    return hkdf(this.#secret, { hash: 'sha512', info: this.#info('key'), sizeBytes: this.#secret.sizeBytes })
  }

  #info(use: string): Buffer {
    return lp(`qkdkit/1 agreement ${use}`, this.#hash)
  }
}
