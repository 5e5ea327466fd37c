import { createHash, type Hash, timingSafeEqual } from 'node:crypto'
import { InvalidArgumentError } from '../../../errors.ts'
import type { SecretKey } from '../../../key/secret-key.ts'
import { transcriptMac } from '../../../key/transcript-mac.ts'
import type { AuthenticationAccount } from '../../../key/wegman-carter.ts'
import type { Authenticator } from './authenticator.ts'

const LEAST_KEY_BYTES = 32

/**
 * Authentication of the first block by a pre-shared key: what the ends say is hashed with SHA-512 and that is tagged by
 * HMAC, so that the key is not used up and a restart may begin with it again. As with signatures, it must hold only until
 * the block is done; whoever breaks it later learns nothing.
 */
export class SharedKeyTranscripts implements Authenticator {
  readonly account: AuthenticationAccount = { spentBits: 0, addedBits: 0, remainingTags: Number.POSITIVE_INFINITY }
  readonly #secret: SecretKey

  /** @param secret 32 bytes or more, the same at both ends; it stays the caller's */
  constructor(secret: SecretKey) {
    if (secret.sizeBytes < LEAST_KEY_BYTES) {
      throw new InvalidArgumentError(`The pre-shared key of a link has at least ${LEAST_KEY_BYTES} bytes`)
    }
    this.#secret = secret
  }

  outgoingHash(): Hash {
    return createHash('sha512')
  }

  incomingHash(): Hash {
    return createHash('sha512')
  }

  tag(hash: Hash): Uint8Array {
    return transcriptMac(this.#secret, hash.digest())
  }

  verify(hash: Hash, tag: Uint8Array): boolean {
    const expected = this.tag(hash)
    return tag.byteLength === expected.byteLength && timingSafeEqual(expected, tag)
  }
}
