import { RunningPoly1305 } from './running-poly1305.ts'
import { bytesOf, type SecretKey } from './secret-key.ts'

/** Length of a one-time key: r (16 bytes, clamped there) and s (16 bytes). */
export const POLY1305_KEY_BYTES = 32

/**
 * One-time authenticator (RFC 8439, section 2.5) over the parts one after the other: 16 bytes. A key authenticates one
 * message: a second one under the same key gives the key away.
 */
export function poly1305(key: SecretKey, parts: readonly (Uint8Array | SecretKey)[]): Buffer {
  const keyBytes = bytesOf(key)
  const running = new RunningPoly1305(keyBytes.subarray(0, 16))
  for (const part of parts) running.update(part instanceof Uint8Array ? part : bytesOf(part))
  return running.finish(keyBytes.subarray(16))
}
