import { keyName } from '../../key/key-name.ts'
import { openSecret, sealSecret } from '../../key/seal.ts'
import { SecretKey } from '../../key/secret-key.ts'

/** A key under which slots are sealed: one that this process holds, or one in a device that never gives it away. */
export interface WrappingKey {
  /** 4 bytes that tell it from others and say nothing of it. */
  readonly name: Buffer
  /** Nonce, AES-256-GCM ciphertext and tag. */
  seal(secret: SecretKey, context: Uint8Array): Uint8Array
  /** @throws {StoreError} the record was altered, or belongs to another key or context */
  open(sealed: Uint8Array, context: Uint8Array): SecretKey
  /** Wipes the key, where this process holds it: nothing is sealed under it any more. Closes it as well. */
  wipe(): void
  /** Takes leave of the device, where it is in one. Idempotent. */
  close(): void
}

/** A key encryption key, wherever it is. */
export type Kek = SecretKey | WrappingKey

/** A key that this process holds wraps by itself. */
export function wrappingKey(kek: Kek): WrappingKey {
  if (!(kek instanceof SecretKey)) return kek
  return {
    name: keyName(kek),
    seal: (secret, context) => sealSecret(kek, secret, context),
    open: (sealed, context) => openSecret(kek, sealed, context),
    wipe: () => kek.wipe(),
    close: () => {},
  }
}
