import { bytesOf, SecretKey } from './secret-key.ts'

/** The secrets one after the other in a key of its own; the parts stay the caller's. */
export function joinSecrets(parts: readonly SecretKey[]): SecretKey {
  const joined = Buffer.allocUnsafeSlow(parts.reduce((sum, part) => sum + part.sizeBytes, 0))
  let at = 0
  for (const part of parts) {
    joined.set(bytesOf(part), at)
    at += part.sizeBytes
  }
  return SecretKey.adopt(joined)
}
