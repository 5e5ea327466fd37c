import type { SaePair } from '../key/key-id.ts'

/** Keys that are remembered at most; the oldest go first. */
const MAX_KEYS = 65_536

/** A key that a host of this site was given. */
export interface RecentKey extends SaePair {
  /** The host: master or slave of the pair, or one of several slaves. */
  readonly saeId: string
  readonly issued: boolean
  readonly peerSiteId: string
  readonly block: bigint | undefined
  readonly atMs: number
}

/** Which keys hosts of this site were given since it started, as long as something can be done about them. In memory alone. */
export class RecentKeys {
  readonly #keys = new Map<string, RecentKey>()
  readonly #lifeMs: number

  constructor({ lifeMs }: { lifeMs: number }) {
    this.#lifeMs = lifeMs
  }

  add(keyId: string, key: RecentKey): void {
    const name = nameOf(key.saeId, keyId)
    this.#keys.delete(name)
    this.#keys.set(name, key)
    for (const [oldest, { atMs }] of this.#keys) {
      if (this.#keys.size <= MAX_KEYS && key.atMs - atMs < this.#lifeMs) break
      this.#keys.delete(oldest)
    }
  }

  /** What that host was given under the key_ID; undefined where nothing is remembered. */
  find(saeId: string, keyId: string): RecentKey | undefined {
    return this.#keys.get(nameOf(saeId, keyId))
  }

  /** All that are remembered, each with its key_ID. */
  *entries(): Generator<readonly [keyId: string, key: RecentKey]> {
    for (const [name, key] of this.#keys) yield [name.slice(name.indexOf('\n') + 1), key]
  }
}

/** No SAE ID has a line break. */
function nameOf(saeId: string, keyId: string): string {
  return `${saeId.replaceAll('\n', ' ')}\n${keyId}`
}
