import { StoreError } from '../errors.ts'
import { hmacKey } from './hkdf.ts'
import { lp, u64 } from './lp.ts'
import { bytesOf, SecretKey } from './secret-key.ts'

const KEY_BYTES = 32
const STORED_BYTES = 8 + KEY_BYTES

/**
 * A key that gives way to the next one, again and again. One way: who has the new one learns nothing of those before it,
 * and hosts that hold the same key come to the same next one without a word.
 */
export class EpochKey {
  readonly epoch: number
  readonly key: SecretKey

  private constructor(epoch: number, key: SecretKey) {
    this.epoch = epoch
    this.key = key
  }

  /** The first of a new line. */
  static first(): EpochKey {
    return new EpochKey(0, SecretKey.random(KEY_BYTES))
  }

  /**
   * What `stored` gave; the secret stays the caller's.
   * @throws {StoreError} it is something else
   */
  static restore(stored: SecretKey): EpochKey {
    const bytes = Buffer.from(bytesOf(stored))
    try {
      if (bytes.byteLength !== STORED_BYTES) throw new StoreError('An epoch key is of another format')
      return new EpochKey(Number(bytes.readBigUInt64BE(0)), SecretKey.copyOf(bytes.subarray(8)))
    } finally {
      bytes.fill(0)
    }
  }

  /** Key and number in one secret; the caller owns it. */
  stored(): SecretKey {
    const bytes = Buffer.allocUnsafeSlow(STORED_BYTES)
    bytes.set(u64(this.epoch))
    bytes.set(bytesOf(this.key), 8)
    return SecretKey.adopt(bytes)
  }

  /** The one that follows; this one stays as it is until it is wiped. */
  next(): EpochKey {
    return new EpochKey(this.epoch + 1, hmacKey('sha256', this.key, lp('qkdkit/1 epoch key')))
  }

  /** The key alone, for somebody who wipes what it is done with. */
  copy(): SecretKey {
    return SecretKey.copyOf(bytesOf(this.key))
  }

  wipe(): void {
    this.key.wipe()
  }
}
