import { createHash, timingSafeEqual } from 'node:crypto'
import { hmacKey, hmacTag } from '../../key/hkdf.ts'
import { joinSecrets } from '../../key/join.ts'
import { lp, u64 } from '../../key/lp.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import { SealEpoch } from './seal-epoch.ts'

/** The two sites of a pool in the order in which both write them. */
export interface PairIdentity {
  /** What a pool is called in the store and on the wire. */
  readonly name: string
  /** The same as bytes for key derivation: both site IDs, sorted, length-prefixed. */
  readonly bytes: Buffer
  readonly siteIds: readonly [string, string]
}

/** The pair of two sites, alike in whatever order they are named. */
export function pairIdentity(a: string, b: string): PairIdentity {
  const siteIds = (a < b ? [a, b] : [b, a]) as [string, string]
  return { name: siteIds.join('|'), bytes: lp(...siteIds), siteIds }
}

/**
 * The secret that two KMSs share, from which the sealing keys and the block tags come; never derived from pool blocks
 * (relays know those) nor from configuration. Root 0 is made of 32 fresh bytes of each side, exchanged over mutual TLS, and of
 * a secret each under ML-KEM, so that hybrid keys hold whatever key exchange the TLS connection had.
 */
export class PairSecret {
  readonly root: SecretKey
  readonly #pair: PairIdentity
  /** What seals key_IDs in the epoch of this root. */
  readonly seal: SealEpoch

  constructor(root: SecretKey, pair: PairIdentity, { sealEpoch }: { sealEpoch: number }) {
    this.root = root
    this.#pair = pair
    this.seal = SealEpoch.of(root, pair, sealEpoch)
  }

  /**
   * Root 0 from what both sides gave and encapsulated, and from what went over the wire for it; in the order in which the site
   * that sorts first writes them. The parts stay the caller's.
   */
  static combine(
    parts: readonly SecretKey[],
    pair: PairIdentity,
    poolEpoch: number,
    exchanged: readonly Uint8Array[],
  ): SecretKey {
    const joined = joinSecrets(parts)
    const transcript = createHash('sha256')
      .update(lp(...exchanged))
      .digest()
    try {
      return hmacKey('sha512', joined, lp('qkdkit/1 root 0', pair.bytes, u64(poolEpoch), transcript))
    } finally {
      joined.wipe()
    }
  }

  /** 16 bytes that tell two sites whether they hold the same root. */
  check(): Buffer {
    return hmacTag('sha256', this.root, lp('qkdkit/1 root check', this.#pair.bytes)).subarray(0, 16)
  }

  /** Proof that `siteId` holds the root, for this pair of process starts. */
  confirmation(siteId: string, startNonces: readonly [Uint8Array, Uint8Array]): Buffer {
    return hmacTag('sha256', this.root, lp('qkdkit/1 root confirm', this.#pair.bytes, siteId, ...startNonces))
  }

  confirms(mac: Uint8Array, siteId: string, startNonces: readonly [Uint8Array, Uint8Array]): boolean {
    return timingSafeEqual(mac, this.confirmation(siteId, startNonces))
  }

  wipe(): void {
    this.seal.wipe()
    this.root.wipe()
  }
}
