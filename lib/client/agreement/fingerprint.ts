import { hkdf, hmacTag } from '../../key/hkdf.ts'
import { lp } from '../../key/lp.ts'
import type { AgreedKey } from './outcome.ts'

/**
 * Eight hex digits that are equal where two ends hold the same agreed key, for two people to compare. Safe to show: they
 * come from a key derived for this alone. They are no proof between programs, which the agreement itself has given.
 */
export function keyFingerprint({ secret, keyId }: AgreedKey): string {
  using shown = hkdf(secret, { hash: 'sha256', info: 'qkdkit/1 fingerprint', sizeBytes: 32 })
  return hmacTag('sha256', shown, lp(keyId)).toString('hex', 0, 4)
}
