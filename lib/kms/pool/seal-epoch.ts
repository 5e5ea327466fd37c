import { hmacKey } from '../../key/hkdf.ts'
import { deriveSealKeys, type SealKeys } from '../../key/key-id.ts'
import { lp, u64 } from '../../key/lp.ts'
import type { SecretKey } from '../../key/secret-key.ts'
import type { PairIdentity } from './pair-secret.ts'

/** The keys that seal key_IDs in one epoch of a pool. They outlive the root that they come from, until no key waits under them. */
export class SealEpoch {
  readonly number: number
  readonly secret: SecretKey
  readonly #pair: PairIdentity
  readonly #keys = new Map<string, SealKeys>()
  #sealed = 0

  /** Takes `secret` over. */
  constructor(secret: SecretKey, pair: PairIdentity, number: number) {
    this.secret = secret
    this.number = number
    this.#pair = pair
  }

  /** The epoch's secret is born with the root, and kept apart from it. */
  static of(root: SecretKey, pair: PairIdentity, number: number): SealEpoch {
    const secret = hmacKey('sha256', root, lp('qkdkit/1 seal root', pair.bytes, u64(number)))
    return new SealEpoch(secret, pair, number)
  }

  /** Keys for one more key_ID of a site's own. */
  toSeal(issuerSiteId: string): SealKeys {
    this.#sealed++
    return this.keysOf(issuerSiteId)
  }

  /** key_IDs that this process sealed in the epoch. */
  get sealed(): number {
    return this.#sealed
  }

  /** Keys for the key_IDs that a site issues. */
  keysOf(issuerSiteId: string): SealKeys {
    let keys = this.#keys.get(issuerSiteId)
    if (keys === undefined) {
      keys = deriveSealKeys(this.secret, { poolId: this.#pair.bytes, issuerSiteId, epoch: this.number })
      this.#keys.set(issuerSiteId, keys)
    }
    return keys
  }

  wipe(): void {
    for (const { mac, enc } of this.#keys.values()) {
      mac.wipe()
      enc.wipe()
    }
    this.#keys.clear()
    this.secret.wipe()
  }
}
