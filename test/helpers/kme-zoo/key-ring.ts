import { randomBytes, randomUUID } from 'node:crypto'

/** A key that a KME of the zoo holds for its slave. */
export interface HeldKey {
  readonly keyId: string
  readonly bytes: Buffer
  readonly masterSaeId: string
  readonly slaveSaeId: string
}

/** What a pair of KMEs shares; both hosts of a test ask the same one, for no link is under test here. */
export class KeyRing {
  readonly #held = new Map<string, HeldKey>()

  get size(): number {
    return this.#held.size
  }

  issue(pair: Pick<HeldKey, 'masterSaeId' | 'slaveSaeId'>, { sizeBits = 256, keyId = randomUUID() as string } = {}) {
    const key: HeldKey = { ...pair, keyId, bytes: randomBytes(Math.floor(sizeBits / 8)) }
    this.#held.set(keyId, key)
    return key
  }

  /** Holds a key under an ID of the KME's own making. */
  rename(key: Omit<HeldKey, 'keyId'>, keyId: string): HeldKey {
    const renamed = { ...key, keyId }
    this.#held.set(keyId, renamed)
    return renamed
  }

  find(keyId: string): HeldKey | undefined {
    return this.#held.get(keyId)
  }

  forget(keyId: string): void {
    this.#held.delete(keyId)
  }

  forgetPair(masterSaeId: string, slaveSaeId: string): void {
    for (const key of [...this.#held.values()]) {
      if (key.masterSaeId === masterSaeId && key.slaveSaeId === slaveSaeId) this.#held.delete(key.keyId)
    }
  }
}
