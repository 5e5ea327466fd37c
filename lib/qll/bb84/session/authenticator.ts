import { createHash, type Hash } from 'node:crypto'
import type { AuthenticationAccount } from '../../../key/wegman-carter.ts'

/** Takes what one side says, piece by piece. */
export interface MessageHash {
  update(bytes: Uint8Array): unknown
}

/** Proves to one side what the other said. `WegmanCarter` is one; `SignedTranscripts` another, for the first block. */
export interface Authenticator {
  /** A hash for what this side says until its next tag. */
  outgoingHash(): MessageHash
  /** A hash for what the other side says until its next tag. */
  incomingHash(): MessageHash
  tag(hash: MessageHash): Uint8Array | Promise<Uint8Array>
  verify(hash: MessageHash, tag: Uint8Array): boolean | Promise<boolean>
  readonly account: AuthenticationAccount
}

/** The two ends' certificates, or rather what is done with their keys. */
export interface SignatureKeys {
  /** Signs with this end's private key. */
  sign(message: Uint8Array): Promise<Uint8Array>
  /** Whether the other end's certificate, valid and trusted, verifies the signature. */
  verify(message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

/**
 * Authentication of the first block by signatures, before the ends share any key: what they say is hashed with SHA-512
 * and signed. It must hold only until the block is done; whoever breaks it later learns nothing.
 */
export class SignedTranscripts implements Authenticator {
  readonly account: AuthenticationAccount = { spentBits: 0, addedBits: 0, remainingTags: Number.POSITIVE_INFINITY }
  readonly #keys: SignatureKeys

  constructor(keys: SignatureKeys) {
    this.#keys = keys
  }

  outgoingHash(): Hash {
    return createHash('sha512')
  }

  incomingHash(): Hash {
    return createHash('sha512')
  }

  tag(hash: Hash): Promise<Uint8Array> {
    return this.#keys.sign(hash.digest())
  }

  verify(hash: Hash, tag: Uint8Array): Promise<boolean> {
    return this.#keys.verify(hash.digest(), tag)
  }
}
