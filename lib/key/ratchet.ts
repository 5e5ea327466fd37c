import { hmacKey, hmacTag } from './hkdf.ts'
import { lp, u64 } from './lp.ts'
import { bytesOf, type SecretKey } from './secret-key.ts'

/**
 * The root of the next epoch: whoever learns it later learns nothing of this one, and whoever knew this one learns nothing of it
 * without the secret that ML-KEM carried. All inputs stay the caller's.
 */
export function nextRoot(
  root: SecretKey,
  { epoch, shared, transcript }: { epoch: number; shared: SecretKey; transcript: Uint8Array },
): SecretKey {
  const data = lp('qkdkit/1 ratchet', u64(epoch), bytesOf(shared), transcript)
  try {
    return hmacKey('sha512', root, data)
  } finally {
    data.fill(0)
  }
}

/** Proof that `siteId` has come to that root by that transcript; 32 bytes. The root stays the caller's. */
export function ratchetProof(root: SecretKey, siteId: string, transcript: Uint8Array): Buffer {
  const key = hmacKey('sha256', root, lp('qkdkit/1 ratchet confirm'))
  try {
    return hmacTag('sha256', key, lp(siteId, transcript))
  } finally {
    key.wipe()
  }
}
