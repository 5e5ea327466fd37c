import { InvalidArgumentError } from '../errors.ts'
import { POLY1305_KEY_BYTES, poly1305 } from './poly1305.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

/** Bytes of key that the proof of a block takes beside the block itself: a one-time tag each way. */
export const PROOF_BYTES = 2 * POLY1305_KEY_BYTES

/** A block, and what each end shows the other so that both know they have the same. */
export interface ProvedBlock {
  readonly secret: SecretKey
  readonly tags: { readonly drawer: Buffer; readonly fetcher: Buffer }
}

/**
 * Makes one block out of many keys, joined in their order. The bytes behind the block serve its tags and nothing else, so
 * the tags tell nobody anything of it, whatever they can compute; what is left over is dropped. Wipes the keys.
 * @throws {InvalidArgumentError} the keys have fewer bytes together than block and proof
 */
export function proveBlock(
  keys: readonly SecretKey[],
  { sizeBytes, context }: { readonly sizeBytes: number; readonly context: Uint8Array },
): ProvedBlock {
  const joined = Buffer.allocUnsafeSlow(keys.reduce((sum, key) => sum + key.sizeBytes, 0))
  let at = 0
  for (const key of keys) {
    joined.set(bytesOf(key), at)
    at += key.sizeBytes
    key.wipe()
  }
  try {
    if (at < sizeBytes + PROOF_BYTES) {
      throw new InvalidArgumentError(`${at} bytes of key are too few for a block of ${sizeBytes} and its proof`)
    }
    const secret = SecretKey.copyOf(joined.subarray(0, sizeBytes))
    const tag = (from: number) => {
      const key = SecretKey.copyOf(joined.subarray(from, from + POLY1305_KEY_BYTES))
      try {
        return poly1305(key, [context, secret])
      } finally {
        key.wipe()
      }
    }
    return { secret, tags: { drawer: tag(sizeBytes), fetcher: tag(sizeBytes + POLY1305_KEY_BYTES) } }
  } finally {
    joined.fill(0)
  }
}
