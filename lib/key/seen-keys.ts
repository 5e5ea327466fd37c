import { createHmac, randomBytes } from 'node:crypto'
import { bytesOf, type SecretKey } from './secret-key.ts'

/** Keys that are remembered; the oldest goes first. */
const MAX_SEEN = 32_768
const DIGEST_BYTES = 16
/** Shorter keys are alike by chance. */
const MIN_KEY_BYTES = 8

/**
 * Tells whether a key has been here before, of the newest ones of this process. It keeps digests under a secret of its own,
 * which tell nobody anything of the keys.
 */
export class SeenKeys {
  readonly #secret = randomBytes(32)
  readonly #digests = new Set<string>()

  /** True where one of `keys` was here already, or stands among them twice. They count as seen from now on. */
  add(keys: readonly SecretKey[]): boolean {
    let isRepeated = false
    for (const key of keys) {
      if (key.sizeBytes < MIN_KEY_BYTES) continue
      const digest = this.#digestOf(key)
      if (this.#digests.has(digest)) isRepeated = true
      this.#digests.add(digest)
      if (this.#digests.size > MAX_SEEN) this.#digests.delete(this.#digests.values().next().value!)
    }
    return isRepeated
  }

  #digestOf(key: SecretKey): string {
    const digest = createHmac('sha256', this.#secret).update(bytesOf(key)).digest()
    return digest.toString('latin1', 0, DIGEST_BYTES)
  }
}
