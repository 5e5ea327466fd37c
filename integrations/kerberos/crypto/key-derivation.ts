import { createHash, createHmac } from 'node:crypto'
import type { Enctype } from '../enctype.ts'
import { encryptCts } from './aes-cts.ts'
import { nFold } from './n-fold.ts'

/** What a derived key is for: encryption, integrity of what is encrypted, a checksum of its own. */
export type KeyPurpose = 'encryption' | 'integrity' | 'checksum'

const PURPOSE_BYTES: Readonly<Record<KeyPurpose, number>> = { checksum: 0x99, encryption: 0xaa, integrity: 0x55 }

/** What the four types differ in. `macBytes` is what is left of the hash. */
export interface CipherProfile {
  readonly family: 'sha1' | 'sha2'
  readonly hash: 'sha1' | 'sha256' | 'sha384'
  readonly keyBytes: number
  readonly macBytes: number
}

/** RFC 3962, section 6, and RFC 8009, section 5. */
export const CIPHERS: Readonly<Record<Enctype, CipherProfile>> = {
  17: { family: 'sha1', hash: 'sha1', keyBytes: 16, macBytes: 12 },
  18: { family: 'sha1', hash: 'sha1', keyBytes: 32, macBytes: 12 },
  19: { family: 'sha2', hash: 'sha256', keyBytes: 16, macBytes: 16 },
  20: { family: 'sha2', hash: 'sha384', keyBytes: 32, macBytes: 24 },
}

/** The key for one usage number and purpose, in a buffer that the caller wipes. */
export function deriveKey(profile: CipherProfile, base: Uint8Array, usage: number, purpose: KeyPurpose): Buffer {
  const label = Buffer.allocUnsafe(5)
  label.writeUInt32BE(usage)
  label[4] = PURPOSE_BYTES[purpose]
  if (profile.family === 'sha1') return deriveByCipher(base, label)
  return deriveByHash(profile, base, label, purpose === 'encryption' ? profile.keyBytes : profile.macBytes)
}

/** DK of RFC 3961, section 5.1, where random-to-key is the identity: the folded label, encrypted over and over. */
export function deriveByCipher(base: Uint8Array, label: Uint8Array): Buffer {
  const key = Buffer.allocUnsafeSlow(base.byteLength)
  let block: Buffer = nFold(label, 16)
  for (let at = 0; at < key.byteLength; at += 16) {
    block = encryptCts(base, block)
    key.set(block, at)
  }
  block.fill(0)
  return key
}

/** KDF-HMAC-SHA2 of RFC 8009, section 3: one round of SP 800-108 in counter mode, which is always enough. */
export function deriveByHash(
  { hash }: CipherProfile,
  base: Uint8Array,
  label: Uint8Array,
  sizeBytes: number,
  context: Uint8Array = new Uint8Array(0),
): Buffer {
  const head = Buffer.from([0, 0, 0, 1])
  const tail = Buffer.allocUnsafe(5)
  tail[0] = 0
  const size = Buffer.allocUnsafe(4)
  size.writeUInt32BE(sizeBytes * 8)
  const digest = createHmac(hash, base)
    .update(head)
    .update(label)
    .update(tail.subarray(0, 1))
    .update(context)
    .update(size)
    .digest()
  const key = Buffer.allocUnsafeSlow(sizeBytes)
  key.set(digest.subarray(0, sizeBytes))
  digest.fill(0)
  return key
}

/** The pseudo-random function of the type: RFC 3961, section 5.3, or RFC 8009, section 5. */
export function pseudoRandom(profile: CipherProfile, base: Uint8Array, input: Uint8Array): Buffer {
  const label = Buffer.from('prf')
  if (profile.family === 'sha2') {
    return deriveByHash(profile, base, label, profile.hash === 'sha256' ? 32 : 48, input)
  }
  const key = deriveByCipher(base, label)
  const result = encryptCts(key, createHash('sha1').update(input).digest().subarray(0, 16))
  key.fill(0)
  return result
}
