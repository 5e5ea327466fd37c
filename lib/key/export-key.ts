import type { SecretKey } from './secret-key.ts'

/**
 * The bytes of a key, copied into a buffer that the caller owns and should wipe with `fill(0)` after use. The key itself
 * is left as it was.
 */
export function exportKey(secret: SecretKey): Buffer {
  return secret.expose('application', bytes => {
    const copy = Buffer.allocUnsafeSlow(bytes.byteLength)
    copy.set(bytes)
    return copy
  })
}
